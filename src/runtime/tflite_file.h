// A .tflite file as it is written: tables turned into structs, and nothing concluded from them yet (model_graph.h does that).
//
// The format is TFLite's schema.fbs, a FlatBuffer with the identifier "TFL3". Only what the server needs of it is read.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "base/status.h"

namespace tflite_serving {

struct FileTensor {
  std::string name;
  int type = 0;               // TensorType's number
  std::vector<int32_t> dims;  // negative where open
  size_t constant_bytes = 0;  // 0: not a constant
  bool is_variable = false;
};

struct FileOperator {
  int32_t code = 0;             // BuiltinOperator's number
  std::vector<int32_t> inputs;  // tensors of the subgraph by number; -1 for an optional one left out
  std::vector<int32_t> outputs;
  int32_t init_subgraph = -1;  // of a CALL_ONCE: what it calls
};

struct FileSubgraph {
  std::vector<FileTensor> tensors;
  std::vector<int32_t> inputs;
  std::vector<int32_t> outputs;
  std::vector<FileOperator> operators;
};

struct FileSignature {
  struct Entry {
    std::string name;
    int32_t tensor = 0;
  };
  std::string key;
  std::vector<Entry> inputs;
  std::vector<Entry> outputs;
  int32_t subgraph = 0;
};

struct TfliteFile {
  std::vector<FileSubgraph> subgraphs;  // at least one
  std::vector<FileSignature> signatures;
};

// Reads `bytes`; `path` is for messages. INVALID_ARGUMENT for what is not a sound .tflite file: every tensor number of the result is that of a
// tensor (those in signatures are not checked). UNIMPLEMENTED for variable tensors, which the runtime refuses without saying why.
StatusOr<TfliteFile> ReadTfliteFile(const std::string& path, std::span<const std::byte> bytes);

}  // namespace tflite_serving
