import { Environment, Interpreter, parse, tokenize } from '@huggingface/jinja';
import { ChatTemplateError } from './errors.ts';
import { markLiterals } from './mark-literals.ts';

/** A template in Hugging Face's dialect of Jinja, parsed once. */
export class JinjaTemplate {
  readonly #program: ReturnType<typeof parse>;

  /** @param changeText applied to each literal text that the template can put out. @throws {ChatTemplateError} a template that cannot be read. */
  constructor(source: string, changeText?: (text: string) => string) {
    try {
      this.#program = parse(tokenize(source, { lstrip_blocks: true, trim_blocks: true }));
    } catch (cause) {
      throw new ChatTemplateError('The chat template cannot be read.', { cause });
    }
    if (changeText !== undefined) markLiterals(this.#program, changeText);
  }

  /** @throws {ChatTemplateError} the template refuses the variables. */
  render(variables: Readonly<Record<string, unknown>>, _now: Date = new Date()): string {
    const environment = new Environment();
    for (const [name, value] of Object.entries({ false: false, true: true, none: null, False: false, True: true, None: null })) {
      environment.set(name, value);
    }
    for (const [name, value] of Object.entries(variables)) environment.set(name, value);
    return String(new Interpreter(environment).run(this.#program).value);
  }
}
