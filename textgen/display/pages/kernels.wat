;; The products and the cells of a page that writes, over float32 vectors of four.
;;
;; kernels.js has the same functions as plain loops, and says what their arguments are. All arguments are byte offsets into
;; the memory, or counts. `make kernels` compiles this file to kernels.wasm.
(module
  (import "page" "memory" (memory 0))

  ;; Adds the product of a matrix and a vector to y: blocks of 32 rows, in each the columns one after the other.
  (func (export "multiply") (param $w i32) (param $x i32) (param $y i32) (param $blocks i32) (param $columns i32)
    (local $at i32) (local $end i32) (local $v v128)
    (local $a0 v128) (local $a1 v128) (local $a2 v128) (local $a3 v128)
    (local $a4 v128) (local $a5 v128) (local $a6 v128) (local $a7 v128)
    (local.set $end (i32.add (local.get $x) (i32.shl (local.get $columns) (i32.const 2))))
    (loop $block
      (local.set $a0 (v128.load offset=0 (local.get $y)))
      (local.set $a1 (v128.load offset=16 (local.get $y)))
      (local.set $a2 (v128.load offset=32 (local.get $y)))
      (local.set $a3 (v128.load offset=48 (local.get $y)))
      (local.set $a4 (v128.load offset=64 (local.get $y)))
      (local.set $a5 (v128.load offset=80 (local.get $y)))
      (local.set $a6 (v128.load offset=96 (local.get $y)))
      (local.set $a7 (v128.load offset=112 (local.get $y)))
      (local.set $at (local.get $x))
      (loop $column
        (local.set $v (v128.load32_splat (local.get $at)))
        (local.set $a0 (f32x4.add (local.get $a0) (f32x4.mul (local.get $v) (v128.load offset=0 (local.get $w)))))
        (local.set $a1 (f32x4.add (local.get $a1) (f32x4.mul (local.get $v) (v128.load offset=16 (local.get $w)))))
        (local.set $a2 (f32x4.add (local.get $a2) (f32x4.mul (local.get $v) (v128.load offset=32 (local.get $w)))))
        (local.set $a3 (f32x4.add (local.get $a3) (f32x4.mul (local.get $v) (v128.load offset=48 (local.get $w)))))
        (local.set $a4 (f32x4.add (local.get $a4) (f32x4.mul (local.get $v) (v128.load offset=64 (local.get $w)))))
        (local.set $a5 (f32x4.add (local.get $a5) (f32x4.mul (local.get $v) (v128.load offset=80 (local.get $w)))))
        (local.set $a6 (f32x4.add (local.get $a6) (f32x4.mul (local.get $v) (v128.load offset=96 (local.get $w)))))
        (local.set $a7 (f32x4.add (local.get $a7) (f32x4.mul (local.get $v) (v128.load offset=112 (local.get $w)))))
        (local.set $w (i32.add (local.get $w) (i32.const 128)))
        (br_if $column (i32.lt_u (local.tee $at (i32.add (local.get $at) (i32.const 4))) (local.get $end))))
      (v128.store offset=0 (local.get $y) (local.get $a0))
      (v128.store offset=16 (local.get $y) (local.get $a1))
      (v128.store offset=32 (local.get $y) (local.get $a2))
      (v128.store offset=48 (local.get $y) (local.get $a3))
      (v128.store offset=64 (local.get $y) (local.get $a4))
      (v128.store offset=80 (local.get $y) (local.get $a5))
      (v128.store offset=96 (local.get $y) (local.get $a6))
      (v128.store offset=112 (local.get $y) (local.get $a7))
      (local.set $y (i32.add (local.get $y) (i32.const 128)))
      (br_if $block (local.tee $blocks (i32.sub (local.get $blocks) (i32.const 1))))))

  ;; The exponential: 2^n times the Taylor polynomial of what is left, at most half of ln 2.
  (func $exp (param $x v128) (result v128)
    (local $n v128) (local $p v128)
    (local.set $x (f32x4.min (f32x4.max (local.get $x) (v128.const f32x4 -87 -87 -87 -87)) (v128.const f32x4 87 87 87 87)))
    (local.set $n (f32x4.nearest (f32x4.mul (local.get $x) (v128.const f32x4 0x1.7154760000000p+0 0x1.7154760000000p+0 0x1.7154760000000p+0 0x1.7154760000000p+0))))
    (local.set $x (f32x4.sub (local.get $x) (f32x4.mul (local.get $n) (v128.const f32x4 0x1.6300000000000p-1 0x1.6300000000000p-1 0x1.6300000000000p-1 0x1.6300000000000p-1))))
    (local.set $x (f32x4.sub (local.get $x) (f32x4.mul (local.get $n) (v128.const f32x4 -0x1.bd01060000000p-13 -0x1.bd01060000000p-13 -0x1.bd01060000000p-13 -0x1.bd01060000000p-13))))
    (local.set $p (v128.const f32x4 0x1.a01a020000000p-13 0x1.a01a020000000p-13 0x1.a01a020000000p-13 0x1.a01a020000000p-13))
    (local.set $p (f32x4.add (f32x4.mul (local.get $p) (local.get $x)) (v128.const f32x4 0x1.6c16c20000000p-10 0x1.6c16c20000000p-10 0x1.6c16c20000000p-10 0x1.6c16c20000000p-10)))
    (local.set $p (f32x4.add (f32x4.mul (local.get $p) (local.get $x)) (v128.const f32x4 0x1.1111120000000p-7 0x1.1111120000000p-7 0x1.1111120000000p-7 0x1.1111120000000p-7)))
    (local.set $p (f32x4.add (f32x4.mul (local.get $p) (local.get $x)) (v128.const f32x4 0x1.5555560000000p-5 0x1.5555560000000p-5 0x1.5555560000000p-5 0x1.5555560000000p-5)))
    (local.set $p (f32x4.add (f32x4.mul (local.get $p) (local.get $x)) (v128.const f32x4 0x1.5555560000000p-3 0x1.5555560000000p-3 0x1.5555560000000p-3 0x1.5555560000000p-3)))
    (local.set $p (f32x4.add (f32x4.mul (local.get $p) (local.get $x)) (v128.const f32x4 0x1.0000000000000p-1 0x1.0000000000000p-1 0x1.0000000000000p-1 0x1.0000000000000p-1)))
    (local.set $p (f32x4.add (f32x4.mul (local.get $p) (local.get $x)) (v128.const f32x4 0x1.0000000000000p+0 0x1.0000000000000p+0 0x1.0000000000000p+0 0x1.0000000000000p+0)))
    (local.set $p (f32x4.add (f32x4.mul (local.get $p) (local.get $x)) (v128.const f32x4 0x1.0000000000000p+0 0x1.0000000000000p+0 0x1.0000000000000p+0 0x1.0000000000000p+0)))
    (f32x4.mul
      (local.get $p)
      (i32x4.shl
        (i32x4.add (i32x4.trunc_sat_f32x4_s (local.get $n)) (v128.const i32x4 127 127 127 127))
        (i32.const 23))))

  (func $sigmoid (param $x v128) (result v128)
    (f32x4.div (v128.const f32x4 1 1 1 1) (f32x4.add (v128.const f32x4 1 1 1 1) (call $exp (f32x4.neg (local.get $x))))))

  (func $tanh (param $x v128) (result v128)
    (f32x4.sub
      (v128.const f32x4 1 1 1 1)
      (f32x4.div (v128.const f32x4 2 2 2 2) (f32x4.add (v128.const f32x4 1 1 1 1) (call $exp (f32x4.add (local.get $x) (local.get $x)))))))

  ;; Gates: input, forget, candidate, output. The peephole weights p, of the input, forget and output gate, are 0 without.
  (func (export "lstm") (param $z i32) (param $p i32) (param $c i32) (param $h i32) (param $units i32)
    (local $end i32) (local $row i32) (local $cell v128)
    (local.set $row (i32.shl (local.get $units) (i32.const 2)))
    (local.set $end (i32.add (local.get $h) (local.get $row)))
    (loop $next
      (local.set $cell (v128.load (local.get $c)))
      (local.set $cell
        (f32x4.add
          (f32x4.mul
            (call $sigmoid
              (f32x4.add
                (v128.load (i32.add (local.get $z) (local.get $row)))
                (f32x4.mul (local.get $cell) (v128.load (i32.add (local.get $p) (local.get $row))))))
            (local.get $cell))
          (f32x4.mul
            (call $sigmoid
              (f32x4.add (v128.load (local.get $z)) (f32x4.mul (local.get $cell) (v128.load (local.get $p)))))
            (call $tanh (v128.load (i32.add (local.get $z) (i32.mul (local.get $row) (i32.const 2))))))))
      (v128.store (local.get $c) (local.get $cell))
      (v128.store
        (local.get $h)
        (f32x4.mul
          (call $tanh (local.get $cell))
          (call $sigmoid
            (f32x4.add
              (v128.load (i32.add (local.get $z) (i32.mul (local.get $row) (i32.const 3))))
              (f32x4.mul
                (local.get $cell)
                (v128.load (i32.add (local.get $p) (i32.mul (local.get $row) (i32.const 2)))))))))
      (local.set $z (i32.add (local.get $z) (i32.const 16)))
      (local.set $p (i32.add (local.get $p) (i32.const 16)))
      (local.set $c (i32.add (local.get $c) (i32.const 16)))
      (br_if $next (i32.lt_u (local.tee $h (i32.add (local.get $h) (i32.const 16))) (local.get $end)))))

  ;; Gates: input, candidate, output; the forget gate is 1 minus the input gate.
  (func (export "coupled") (param $z i32) (param $c i32) (param $h i32) (param $units i32)
    (local $end i32) (local $row i32) (local $cell v128)
    (local.set $row (i32.shl (local.get $units) (i32.const 2)))
    (local.set $end (i32.add (local.get $h) (local.get $row)))
    (loop $next
      (local.set $cell (v128.load (local.get $c)))
      (local.set $cell
        (f32x4.add
          (local.get $cell)
          (f32x4.mul
            (call $sigmoid (v128.load (local.get $z)))
            (f32x4.sub (call $tanh (v128.load (i32.add (local.get $z) (local.get $row)))) (local.get $cell)))))
      (v128.store (local.get $c) (local.get $cell))
      (v128.store
        (local.get $h)
        (f32x4.mul
          (call $tanh (local.get $cell))
          (call $sigmoid (v128.load (i32.add (local.get $z) (i32.mul (local.get $row) (i32.const 2)))))))
      (local.set $z (i32.add (local.get $z) (i32.const 16)))
      (local.set $c (i32.add (local.get $c) (i32.const 16)))
      (br_if $next (i32.lt_u (local.tee $h (i32.add (local.get $h) (i32.const 16))) (local.get $end)))))

  ;; Gates: update, reset, candidate. z is the input's product, r the recurrent one, each with its bias.
  (func (export "gru") (param $z i32) (param $r i32) (param $h i32) (param $units i32)
    (local $end i32) (local $row i32) (local $candidate v128)
    (local.set $row (i32.shl (local.get $units) (i32.const 2)))
    (local.set $end (i32.add (local.get $h) (local.get $row)))
    (loop $next
      (local.set $candidate
        (call $tanh
          (f32x4.add
            (v128.load (i32.add (local.get $z) (i32.mul (local.get $row) (i32.const 2))))
            (f32x4.mul
              (v128.load (i32.add (local.get $r) (i32.mul (local.get $row) (i32.const 2))))
              (call $sigmoid
                (f32x4.add
                  (v128.load (i32.add (local.get $z) (local.get $row)))
                  (v128.load (i32.add (local.get $r) (local.get $row)))))))))
      (v128.store
        (local.get $h)
        (f32x4.add
          (local.get $candidate)
          (f32x4.mul
            (call $sigmoid (f32x4.add (v128.load (local.get $z)) (v128.load (local.get $r))))
            (f32x4.sub (v128.load (local.get $h)) (local.get $candidate)))))
      (local.set $z (i32.add (local.get $z) (i32.const 16)))
      (local.set $r (i32.add (local.get $r) (i32.const 16)))
      (br_if $next (i32.lt_u (local.tee $h (i32.add (local.get $h) (i32.const 16))) (local.get $end)))))

  (func (export "rnn") (param $z i32) (param $h i32) (param $units i32)
    (local $end i32)
    (local.set $end (i32.add (local.get $h) (i32.shl (local.get $units) (i32.const 2))))
    (loop $next
      (v128.store (local.get $h) (call $tanh (v128.load (local.get $z))))
      (local.set $z (i32.add (local.get $z) (i32.const 16)))
      (br_if $next (i32.lt_u (local.tee $h (i32.add (local.get $h) (i32.const 16))) (local.get $end))))))
