/** Rows of a matrix's block. */
const ROWS = 32;

/** Most numbers of a table of the first layer's products, one row for each id. */
const TABLE = 2 ** 24;

/** The step of each cell, once its gates' products are in the layer's `z`, and of a GRU the recurrent ones in `r`. */
const CELLS = {
  lstm: (kernels, {z, peephole, c, h}, units) => kernels.lstm(z, peephole, c, h, units),
  peephole: (kernels, {z, peephole, c, h}, units) => kernels.lstm(z, peephole, c, h, units),
  coupled: (kernels, {z, c, h}, units) => kernels.coupled(z, c, h, units),
  gru: (kernels, {z, r, h}, units) => kernels.gru(z, r, h, units),
  rnn: (kernels, {z, h}, units) => kernels.rnn(z, h, units),
};

/** The bytes of a text in base64. */
function bytesOf(base64) {
  if (Uint8Array.fromBase64) return Uint8Array.fromBase64(base64);
  const text = atob(base64);
  const bytes = new Uint8Array(text.length);
  for (let n = 0; n < text.length; n++) bytes[n] = text.charCodeAt(n);
  return bytes;
}

/** The number that 16 bits stand for (IEEE 754 binary16). */
function half(bits) {
  const sign = bits & 0x8000 ? -1 : 1, exponent = bits >> 10 & 31, fraction = bits & 1023;
  if (exponent === 31) return fraction ? NaN : sign * Infinity;
  return sign * (exponent ? 2 ** (exponent - 25) * (1024 + fraction) : 2 ** -24 * fraction);
}

/** The numbers in [-32, 31] of which four are in three bytes. */
function sixes(bytes) {
  const values = new Int8Array(bytes.length / 3 * 4);
  for (let n = 0, at = 0; n < bytes.length; n += 3) {
    const word = bytes[n] << 16 | bytes[n + 1] << 8 | bytes[n + 2];
    for (let shift = 18; shift >= 0; shift -= 6) values[at++] = (word >> shift & 63) - 32;
  }
  return values;
}

/**
 * The matrices that quantization.py packed, by name: `rows`, `columns`, and `row(n, out)`, which writes a row.
 *
 * @param {{name: string, kind: string, rows: number, columns: number}[]} packed
 * @param {Uint8Array} bytes
 */
function unpackMatrices(packed, bytes) {
  const matrices = {};
  let at = 0;
  const next = (Type, count) => {
    const values = new Type(bytes.buffer, bytes.byteOffset + at, count);
    at += (values.byteLength + 3) & ~3;
    return values;
  };
  for (const {name, kind, rows, columns} of packed) {
    const scales = kind.startsWith("int") ? next(Float32Array, rows) : null, count = rows * columns;
    const values = kind === "int6" ? sixes(next(Uint8Array, 3 * Math.ceil(count / 4)))
      : next({int8: Int8Array, float16: Uint16Array, float32: Float32Array}[kind], count);
    const row = (n, out) => {
      for (let c = 0, from = n * columns; c < columns; c++) {
        const value = values[from + c];
        out[c] = scales ? scales[n] * value : kind === "float16" ? half(value) : value;
      }
      return out;
    };
    matrices[name] = {rows, columns, row};
  }
  return matrices;
}

/** A memory that is handed out piece by piece; offsets are in bytes, and behind each piece are 16 bytes for a vector. */
class Room {
  constructor() {
    this.size = 64;
  }

  take(count) {
    const at = this.size;
    this.size += (4 * count + 16 + 15) & ~15;
    return at;
  }
}

/**
 * A network that takes one id after the other: `step`. It holds one state, which `state` copies and `restore` replaces.
 *
 * @param {object} model cell, layers, units, embedding, vocabulary (the number of ids) and skip
 * @param {object} matrices what `unpackMatrices` returned
 * @param {Uint8Array | null} compiled kernels.wasm; null for plain loops
 */
class Network {
  constructor(model, matrices, compiled) {
    this.model = model;
    const {cell, layers, units, embedding, vocabulary} = model;
    const room = new Room();
    const blocks = (rows) => Math.ceil(rows / ROWS);
    const wide = (name) => ROWS * blocks(matrices[name].rows);
    const matrix = (name) => room.take(wide(name) * matrices[name].columns);
    this.layers = Array.from({length: layers}, (_, n) => {
      const prefix = `layer ${n + 1} `, rows = wide(`${prefix}inputs`);
      return {
        prefix, rows, blocks: rows / ROWS, width: matrices[`${prefix}inputs`].columns,
        inputs: matrix(`${prefix}inputs`), recurrent: matrix(`${prefix}recurrent`),
        bias: room.take(rows), inner: room.take(rows), peephole: room.take(3 * units),
        z: room.take(rows), r: room.take(rows),
      };
    });
    const first = this.layers[0], vocabularyRows = wide("head");
    this.head = {blocks: vocabularyRows / ROWS, kernel: matrix("head"), bias: room.take(vocabularyRows)};
    this.logitsAt = room.take(vocabularyRows);
    this.embedded = room.take(embedding);
    this.condition = room.take(first.rows);
    this.sum = room.take(units);
    this.begin = room.size;
    for (const layer of this.layers) layer.h = room.take(units), layer.c = room.take(units);
    this.end = room.size;
    this.table = vocabulary * first.rows <= TABLE ? room.take(vocabulary * first.rows) : null;
    this.tabled = new Uint8Array(vocabulary);

    const memory = compiled === null ? null : this.makeMemory(room.size);
    this.kernels = memory === null ? null : vectorKernels(compiled, memory);
    this.vectors = this.kernels !== null;
    const buffer = this.vectors ? memory.buffer : new ArrayBuffer(room.size + 64);
    this.kernels ??= new PlainKernels(buffer);
    this.numbers = new Float32Array(buffer);
    this.logits = this.numbers.subarray(this.logitsAt >> 2, (this.logitsAt >> 2) + vocabulary);

    for (const layer of this.layers) {
      this.fill(layer.inputs, matrices[`${layer.prefix}inputs`]);
      this.fill(layer.recurrent, matrices[`${layer.prefix}recurrent`]);
      this.copyRow(layer.bias, matrices[`${layer.prefix}bias`], 0);
      if (cell === "gru") this.copyRow(layer.inner, matrices[`${layer.prefix}bias`], 1);
      if (cell === "peephole") {
        for (let n = 0; n < 3; n++) this.copyRow(layer.peephole + 4 * n * units, matrices[`${layer.prefix}peephole`], n);
      }
    }
    this.fill(this.head.kernel, matrices.head);
    this.copyRow(this.head.bias, matrices["head bias"], 0);
    this.embedding = matrices.embedding;
    this.labelEmbedding = matrices["label embedding"];
  }

  makeMemory(size) {
    try {
      return new WebAssembly.Memory({initial: Math.ceil(size / 65536) + 1});
    } catch {
      return null;
    }
  }

  /** Writes a matrix at an offset, in blocks of 32 rows. */
  fill(at, {rows, columns, row}) {
    const values = new Float32Array(columns);
    for (let n = 0; n < rows; n++) {
      row(n, values);
      let to = (at >> 2) + (n - n % ROWS) * columns + n % ROWS;
      for (let c = 0; c < columns; c++, to += ROWS) this.numbers[to] = values[c];
    }
  }

  copyRow(at, {columns, row}, n) {
    row(n, this.numbers.subarray(at >> 2, (at >> 2) + columns));
  }

  copy(to, from, count) {
    this.numbers.copyWithin(to >> 2, from >> 2, (from >> 2) + count);
  }

  add(to, from, count) {
    const f = this.numbers;
    for (let n = 0, a = to >> 2, b = from >> 2; n < count; n++) f[a + n] += f[b + n];
  }

  /** Sets the state to that before the first character. */
  clear() {
    this.numbers.fill(0, this.begin >> 2, this.end >> 2);
  }

  /** A copy of the state. */
  state() {
    return this.numbers.slice(this.begin >> 2, this.end >> 2);
  }

  restore(state) {
    this.numbers.set(state, this.begin >> 2);
  }

  /** Sets the label of the texts from now on; -1 for none. */
  setLabel(label) {
    const first = this.layers[0];
    this.numbers.fill(0, this.condition >> 2, (this.condition >> 2) + first.rows);
    this.labelled = label >= 0;
    if (!this.labelled) return;
    this.copyRow(this.embedded, this.labelEmbedding, label);
    this.kernels.multiply(first.inputs, this.embedded, this.condition, first.blocks, first.width);
  }

  /** Writes the first layer's products of an id, with its bias, where the cell reads them. */
  enter(id) {
    const first = this.layers[0];
    const at = this.table === null ? first.z : this.table + 4 * id * first.rows;
    if (this.table === null || !this.tabled[id]) {
      this.copyRow(this.embedded, this.embedding, id);
      this.copy(at, first.bias, first.rows);
      this.kernels.multiply(first.inputs, this.embedded, at, first.blocks, first.width);
      this.tabled[id] = 1;
    }
    if (at !== first.z) this.copy(first.z, at, first.rows);
    if (this.labelled) this.add(first.z, this.condition, first.rows);
  }

  /** Advances by an id; `logits` are then those of what follows it. */
  step(id) {
    const {kernels, layers} = this, {cell, units, skip} = this.model, advance = CELLS[cell];
    for (let n = 0; n < layers.length; n++) {
      const layer = layers[n], {z, r, h, blocks} = layer, apart = cell === "gru";
      if (n === 0) {
        this.enter(id);
      } else {
        this.copy(z, layer.bias, layer.rows);
        kernels.multiply(layer.inputs, layers[n - 1].h, z, blocks, layer.width);
      }
      if (apart) this.copy(r, layer.inner, layer.rows);
      kernels.multiply(layer.recurrent, h, apart ? r : z, blocks, units);
      advance(kernels, layer, units);
    }
    let out = layers[layers.length - 1].h;
    if (skip && layers.length > 1) {
      this.copy(this.sum, layers[0].h, units);
      for (let n = 1; n < layers.length; n++) this.add(this.sum, layers[n].h, units);
      out = this.sum;
    }
    this.copy(this.logitsAt, this.head.bias, ROWS * this.head.blocks);
    kernels.multiply(this.head.kernel, out, this.logitsAt, this.head.blocks, units);
  }
}
