/**
 * The products and the cells of a network over one memory, as plain loops: kernels.wat has the same with vectors.
 *
 * Arguments are byte offsets into the memory, or counts. A matrix is in blocks of 32 rows, in each the columns one after
 * the other.
 */
class PlainKernels {
  /** @param {ArrayBuffer} memory */
  constructor(memory) {
    this.numbers = new Float32Array(memory);
  }

  /** Adds the product of the matrix w, of `blocks` blocks and `columns` columns, and the vector x to y. */
  multiply(w, x, y, blocks, columns) {
    const f = this.numbers;
    let weight = w >> 2;
    for (let block = 0, row = y >> 2; block < blocks; block++, weight += 32 * columns) {
      for (let part = 0; part < 32; part += 8, row += 8) {
        let a = 0, b = 0, c = 0, d = 0, e = 0, g = 0, h = 0, i = 0;
        for (let n = 0, at = weight + part, from = x >> 2; n < columns; n++, at += 32) {
          const value = f[from + n];
          a += value * f[at], b += value * f[at + 1], c += value * f[at + 2], d += value * f[at + 3];
          e += value * f[at + 4], g += value * f[at + 5], h += value * f[at + 6], i += value * f[at + 7];
        }
        f[row] += a, f[row + 1] += b, f[row + 2] += c, f[row + 3] += d;
        f[row + 4] += e, f[row + 5] += g, f[row + 6] += h, f[row + 7] += i;
      }
    }
  }

  /**
   * A step of an LSTM: z holds the products of the input, forget, candidate and output gate, p the peephole weights of
   * the input, forget and output gate, 0 without; c and h, the state, are written.
   */
  lstm(z, p, c, h, units) {
    const f = this.numbers;
    for (let n = 0, gate = z >> 2, eye = p >> 2, cell = c >> 2, out = h >> 2; n < units; n++, gate++, eye++, cell++) {
      const before = f[cell];
      const input = sigmoid(f[gate] + before * f[eye]);
      const forget = sigmoid(f[gate + units] + before * f[eye + units]);
      f[cell] = forget * before + input * Math.tanh(f[gate + 2 * units]);
      f[out++] = Math.tanh(f[cell]) * sigmoid(f[gate + 3 * units] + f[cell] * f[eye + 2 * units]);
    }
  }

  /** A step of an LSTM whose forget gate is 1 minus its input gate: input, candidate, output. */
  coupled(z, c, h, units) {
    const f = this.numbers;
    for (let n = 0, gate = z >> 2, cell = c >> 2, out = h >> 2; n < units; n++, gate++, cell++) {
      f[cell] += sigmoid(f[gate]) * (Math.tanh(f[gate + units]) - f[cell]);
      f[out++] = Math.tanh(f[cell]) * sigmoid(f[gate + 2 * units]);
    }
  }

  /** A step of a GRU: z holds the input's products of the update, reset and candidate gate, r the recurrent ones. */
  gru(z, r, h, units) {
    const f = this.numbers;
    for (let n = 0, gate = z >> 2, back = r >> 2, out = h >> 2; n < units; n++, gate++, back++, out++) {
      const reset = sigmoid(f[gate + units] + f[back + units]);
      const candidate = Math.tanh(f[gate + 2 * units] + reset * f[back + 2 * units]);
      f[out] = candidate + sigmoid(f[gate] + f[back]) * (f[out] - candidate);
    }
  }

  /** A step of a simple recurrent network. */
  rnn(z, h, units) {
    const f = this.numbers;
    for (let n = 0; n < units; n++) f[(h >> 2) + n] = Math.tanh(f[(z >> 2) + n]);
  }
}

function sigmoid(x) {
  return 1 / (1 + Math.exp(-x));
}

/** The compiled kernels of kernels.wat over a memory, or null where the browser or the processor has no vectors. */
function vectorKernels(bytes, memory) {
  try {
    return new WebAssembly.Instance(new WebAssembly.Module(bytes), {page: {memory}}).exports;
  } catch {
    return null;
  }
}
