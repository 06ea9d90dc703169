// Finds out whether the rows of one run touch each other, and whether a graph that was exported for one row takes any number of them.
//
// Most converters fix the batch at 1 although nothing in the graph depends on it. Some graphs do depend on it: a reshape with the 1 baked in fails
// on other sizes, or folds rows into each other, and an operator along the first dimension mixes rows. The file does not tell; trying does.
#pragma once

#include <cstddef>

#include "runtime/model.h"

namespace tflite_serving {

// What became of two different random rows, answered alone and then together.
struct RowsTrial {
  bool alike = false;      // the same but for rounding: kernels may sum in another order for other batch sizes
  bool identical = false;  // bit for bit
};

// Whether every input and output of the signature has rows: a first dimension that is open everywhere, or everywhere fixed to 1 (FixesBatchOfOne).
bool HasRows(const Signature& signature);
bool FixesBatchOfOne(const Signature& signature);

// Tries signature number `signature`: rows a and b each alone, then a, b, a, a in one run. Neither alike nor identical where there is nothing to try
// (a signature without rows, a model with state), or where a run fails. Compiles an interpreter of its own, so that those that serve keep the memory
// plan of the file's shapes.
RowsTrial TryRows(const Model& model, size_t signature);

}  // namespace tflite_serving
