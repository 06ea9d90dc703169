// Finds out whether a graph that was exported for one row takes any number of them.
//
// Most converters fix the batch at 1 although nothing in the graph depends on it. Some graphs do depend on it: a reshape with the 1 baked in fails
// on other sizes, or folds rows into each other, and an operator along the first dimension mixes rows. The file does not tell; trying does.
#pragma once

#include <cstddef>

#include "runtime/model.h"

namespace tflite_serving {

// True if signature number `signature` has inputs whose first dimensions are all fixed to 1, and answers two different random rows alone as it does
// together, row by row: exactly for whole numbers and strings, within rounding for others. False for a model with state. Compiles an
// interpreter of its own, so that those that serve keep the memory plan of the file's shapes.
bool BatchOfOneIsFree(const Model& model, size_t signature);

}  // namespace tflite_serving
