// `tflite_model_server --dry_run`: whether a start would serve everything that is configured, and what that is.
#pragma once

#include "base/status.h"
#include "config/server_options.h"

namespace tflite_serving {

// Reads the configuration and loads every version that it chooses, all at once, as a start does: trial, warm-up requests and memory included
// (with a memory budget, which a dry run holds each version against alone, it may take more). Opens
// no port, and tries nothing twice (--max_num_load_retries is for a server, which has time). Prints a table to standard output, for a terminal of
// 120 columns:
//
//   MODEL            VERSION     MEMORY   POOL  BATCH  ONE RUN  SIGNATURES, OPERATORS
//   digits           2 (stable)  367 KiB  2x1   yes    5.77 us  serving_default: pixels float[?,64] -> probabilities float[?,10]
//                                                               operators: CONV_2D x 2, FULLY_CONNECTED, SOFTMAX
//   digits           3           FAILED: INVALID_ARGUMENT: /models/digits/3/model.tflite: not a sound .tflite file: …
//   models: 1, versions that can be served: 1, failures: 1, memory: 367 KiB
//
// VERSION has the version's labels, MEMORY all its interpreters, POOL how many these are and the threads of each, BATCH whether requests may share a
// run (LiteRtServable::batchable), and ONE RUN the median on made-up inputs of one row, "-" where none were found (the reason is logged).
//
// Returns the process's exit status: EXIT_FAILURE if anything that is configured cannot be served. That is more than --strict_start refuses: each
// version that a policy names must be there. Errors: a configuration with which a server would not start.
StatusOr<int> DryRun(const ServerOptions& options);

}  // namespace tflite_serving
