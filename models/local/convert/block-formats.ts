/**
 * ggml's block formats, read without loss. Each has a straight line `w = scale * code + offset` for every 16 or 32 weights. Codes leave
 * as unsigned 4 or 8 bit around a zero point of 8 or 128, so an offset takes up what the zero point moved.
 * Layouts: `dequantize_row_*` in ggml's `ggml-quants.c`.
 */
interface BlockSink {
  readonly codes: Uint8Array;
  readonly scales: Float32Array;
  readonly offsets: Float32Array;
}

interface BlockFormat {
  /** Weights in one ggml block. */
  readonly elements: 32 | 256;
  readonly bits: 4 | 8;
  /** Weights that share a scale. */
  readonly blockSize: 16 | 32;
  readonly hasOffsets: boolean;
  /** Reads the block at byte `at`; its first weight goes to `code`, its first scale to `scale`. */
  readonly read: (block: DataView, at: number, sink: BlockSink, code: number, scale: number) => void;
}

export const BLOCK_FORMATS: Readonly<Record<string, BlockFormat>> = {
  Q4_0: {
    elements: 32,
    bits: 4,
    blockSize: 32,
    hasOffsets: false,
    read(block, at, { codes, scales }, code, scale) {
      scales[scale] = block.getFloat16(at, true);
      readNibbles(block, at + 2, codes, code, 16);
    },
  },
  Q4_1: {
    elements: 32,
    bits: 4,
    blockSize: 32,
    hasOffsets: true,
    read(block, at, { codes, scales, offsets }, code, scale) {
      const d = block.getFloat16(at, true);
      scales[scale] = d;
      offsets[scale] = block.getFloat16(at + 2, true) + 8 * d;
      readNibbles(block, at + 4, codes, code, 16);
    },
  },
  Q5_0: {
    elements: 32,
    bits: 8,
    blockSize: 32,
    hasOffsets: false,
    read(block, at, { codes, scales }, code, scale) {
      scales[scale] = block.getFloat16(at, true);
      readFiveBits(block, at + 2, codes, code);
    },
  },
  Q5_1: {
    elements: 32,
    bits: 8,
    blockSize: 32,
    hasOffsets: true,
    read(block, at, { codes, scales, offsets }, code, scale) {
      const d = block.getFloat16(at, true);
      scales[scale] = d;
      offsets[scale] = block.getFloat16(at + 2, true) + 16 * d;
      readFiveBits(block, at + 4, codes, code);
    },
  },
  Q8_0: {
    elements: 32,
    bits: 8,
    blockSize: 32,
    hasOffsets: false,
    read(block, at, { codes, scales }, code, scale) {
      scales[scale] = block.getFloat16(at, true);
      for (let j = 0; j < 32; j++) codes[code + j] = block.getInt8(at + 2 + j) + 128;
    },
  },
  Q2_K: {
    elements: 256,
    bits: 4,
    blockSize: 16,
    hasOffsets: true,
    read(block, at, { codes, scales, offsets }, code, scale) {
      const d = block.getFloat16(at + 80, true);
      const dmin = block.getFloat16(at + 82, true);
      for (let part = 0; part < 16; part++) {
        const packed = block.getUint8(at + part);
        scales[scale + part] = d * (packed & 15);
        offsets[scale + part] = -dmin * (packed >> 4);
        for (let l = 0; l < 16; l++) codes[code + part * 16 + l] = readTwoBits(block, at + 16, part, l) + 8;
      }
    },
  },
  Q3_K: {
    elements: 256,
    bits: 4,
    blockSize: 16,
    hasOffsets: false,
    read(block, at, { codes, scales }, code, scale) {
      const d = block.getFloat16(at + 108, true);
      for (let part = 0; part < 16; part++) {
        const quarter = part >> 2;
        const low = quarter < 2 ? block.getUint8(at + 96 + part) & 15 : block.getUint8(at + 96 + part - 8) >> 4;
        const high = (block.getUint8(at + 104 + (part & 3)) >> (2 * quarter)) & 3;
        scales[scale + part] = d * ((low | (high << 4)) - 32);
        for (let l = 0; l < 16; l++) {
          const highBit = (block.getUint8(at + (part & 1) * 16 + l) >> (part >> 1)) & 1;
          codes[code + part * 16 + l] = readTwoBits(block, at + 32, part, l) - (highBit === 1 ? 0 : 4) + 8;
        }
      }
    },
  },
  Q4_K: {
    elements: 256,
    bits: 4,
    blockSize: 32,
    hasOffsets: true,
    read(block, at, { codes, scales, offsets }, code, scale) {
      for (let part = 0; part < 8; part++) {
        const { step, least } = readScaleAndMin(block, at, part);
        scales[scale + part] = step;
        offsets[scale + part] = 8 * step - least;
        for (let l = 0; l < 32; l++) codes[code + part * 32 + l] = readHalfByte(block, at + 16, part, l);
      }
    },
  },
  Q5_K: {
    elements: 256,
    bits: 8,
    blockSize: 32,
    hasOffsets: true,
    read(block, at, { codes, scales, offsets }, code, scale) {
      for (let part = 0; part < 8; part++) {
        const { step, least } = readScaleAndMin(block, at, part);
        scales[scale + part] = step;
        offsets[scale + part] = 16 * step - least;
        for (let l = 0; l < 32; l++) {
          const fifth = (block.getUint8(at + 16 + l) >> part) & 1;
          codes[code + part * 32 + l] = readHalfByte(block, at + 48, part, l) + 16 * fifth - 16 + 128;
        }
      }
    },
  },
  Q6_K: {
    elements: 256,
    bits: 8,
    blockSize: 16,
    hasOffsets: false,
    read(block, at, { codes, scales }, code, scale) {
      const d = block.getFloat16(at + 208, true);
      for (let part = 0; part < 16; part++) scales[scale + part] = d * block.getInt8(at + 192 + part);
      for (let i = 0; i < 256; i++) {
        const half = i >> 7;
        const quarter = (i >> 5) & 3;
        const l = i & 31;
        const low = block.getUint8(at + half * 64 + (quarter & 1) * 32 + l);
        const high = (block.getUint8(at + 128 + half * 32 + l) >> (2 * quarter)) & 3;
        codes[code + i] = ((quarter < 2 ? low & 15 : low >> 4) | (high << 4)) - 32 + 128;
      }
    },
  },
};

/** `count` bytes: low nibbles first, then high ones. */
function readNibbles(block: DataView, at: number, codes: Uint8Array, code: number, count: number): void {
  for (let j = 0; j < count; j++) {
    const byte = block.getUint8(at + j);
    codes[code + j] = byte & 15;
    codes[code + count + j] = byte >> 4;
  }
}

/** Q5's 32 high bits, then nibbles; codes 0 to 31 move to a zero point of 128 in their middle. */
function readFiveBits(block: DataView, at: number, codes: Uint8Array, code: number): void {
  const high = block.getUint32(at, true);
  readNibbles(block, at + 4, codes, code, 16);
  for (let j = 0; j < 32; j++) codes[code + j] = (codes[code + j] ?? 0) + (((high >>> j) & 1) << 4) - 16 + 128;
}

/** Weight `l` of sixteenth `part` in the 2-bit layout of Q2_K and Q3_K. */
function readTwoBits(block: DataView, at: number, part: number, l: number): number {
  const half = part >> 3;
  const shift = 2 * ((part >> 1) & 3);
  return (block.getUint8(at + half * 32 + (part & 1) * 16 + l) >> shift) & 3;
}

/** Weight `l` of eighth `part` in the 4-bit layout of Q4_K and Q5_K. */
function readHalfByte(block: DataView, at: number, part: number, l: number): number {
  const byte = block.getUint8(at + (part >> 1) * 32 + l);
  return (part & 1) === 0 ? byte & 15 : byte >> 4;
}

/** Six-bit scale and minimum of an eighth (`get_scale_min_k4`), times the block's own. */
function readScaleAndMin(block: DataView, at: number, part: number): { step: number; least: number } {
  const byte = (i: number) => block.getUint8(at + 4 + i);
  const scale = part < 4 ? byte(part) & 63 : (byte(part + 4) & 15) | ((byte(part - 4) >> 6) << 4);
  const minimum = part < 4 ? byte(part + 4) & 63 : (byte(part + 4) >> 4) | ((byte(part) >> 6) << 4);
  return { step: block.getFloat16(at, true) * scale, least: block.getFloat16(at + 2, true) * minimum };
}
