/**
 * Walks a parsed template and changes the literals that it can put out, in place. Literals that it only compares with (operands of
 * comparisons and `in`, arguments of methods such as `split` and `startswith`, keys) stay as they are.
 */
import type { JinjaNode } from './jinja-package.ts';

const COMPARISONS = new Set(['==', '!=', '<', '>', '<=', '>=', 'in', 'not in']);

export function markLiterals(node: unknown, change: (text: string) => string): void {
  if (Array.isArray(node)) {
    for (const each of node) markLiterals(each, change);
    return;
  }
  if (node instanceof Map) {
    for (const value of node.values()) markLiterals(value, change); // an object literal: its keys are compared
    return;
  }
  if (!isNode(node)) return;
  switch (node.type) {
    case 'StringLiteral':
      (node as { value?: unknown }).value = change(String(node['value']));
      return;
    case 'BinaryExpression':
      if (COMPARISONS.has((node['operator'] as { value: string }).value)) return;
      break;
    case 'TestExpression':
      return;
    case 'CallExpression':
      if (isNode(node['callee']) && node['callee'].type === 'MemberExpression') {
        markLiterals(node['callee']['object'], change);
        return;
      }
      break;
    case 'MemberExpression':
      markLiterals(node['object'], change);
      return;
  }
  for (const child of Object.values(node)) markLiterals(child, change);
}

function isNode(value: unknown): value is JinjaNode {
  return typeof value === 'object' && value !== null && 'type' in value && typeof value.type === 'string';
}
