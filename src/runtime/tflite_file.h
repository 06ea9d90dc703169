// A .tflite file as it is written: tables turned into structs, and nothing concluded from them yet (model_graph.h does that).
//
// The format is TFLite's schema.fbs, a FlatBuffer with the identifier "TFL3". Only what the server needs of it is read.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/status.h"
#include "servable/signature.h"

namespace tflite_serving {

struct FileTensor {
  std::string name;
  int type = 0;                         // TensorType's number
  std::vector<int32_t> dims;            // negative where open
  uint32_t buffer = 0;                  // that has its content; of the file's buffers
  size_t constant_bytes = 0;            // 0: not a constant
  std::span<const std::byte> constant;  // its content, in the file's bytes; empty if it lies behind the FlatBuffer, as beyond 2 GB
  bool is_variable = false;
  std::optional<Quantization> quantization;  // if there is one for all elements
  int32_t like = -1;                         // of one that an edit added: the tensor that it has its quantisation from
};

struct FileOperator {
  int32_t code = -1;  // BuiltinOperator's number
  int32_t version = 1;
  std::string custom_name;      // if `code` is kCustomOperator
  int32_t library_number = -1;  // of one that a library runs (library_operator.h): the model's how manieth it is
  int32_t number = -1;          // its position in the file's list; -1 for one that an edit added
  std::vector<int32_t> inputs;  // tensors of the subgraph by number; -1 for an optional one left out
  std::vector<int32_t> outputs;
  int32_t init_subgraph = -1;  // of a CALL_ONCE: what it calls
  bool takes_end = true;       // of a STRIDED_SLICE that an edit added: whether it ends at the end, or one before
};

struct FileSubgraph {
  std::string name;
  std::vector<FileTensor> tensors;
  std::vector<int32_t> inputs;
  std::vector<int32_t> outputs;
  std::vector<FileOperator> operators;
  bool is_edited = false;  // no longer as in the file (graph_edit.h)
};

struct FileSignature {
  struct Entry {
    std::string name;
    int32_t tensor = 0;
  };
  std::string key;
  std::string method_name;  // empty: the file says none, as the schema's signatures do
  std::vector<Entry> inputs;
  std::vector<Entry> outputs;
  int32_t subgraph = 0;
};

struct FileMetadata {
  std::string name;
  std::span<const std::byte> content;  // in the file's bytes
};

struct TfliteFile {
  std::vector<FileSubgraph> subgraphs;  // at least one
  std::vector<FileSignature> signatures;
  std::vector<FileMetadata> metadata;
};

// Reads `bytes`, which must outlive the result; `path` is for messages. INVALID_ARGUMENT for what is not a sound .tflite file: every tensor number of
// the result is that of a tensor (those in signatures are not checked), every tensor's buffer is one and lies inside. UNIMPLEMENTED for variable
// tensors, which the runtime refuses without saying why.
StatusOr<TfliteFile> ReadTfliteFile(const std::string& path, std::span<const std::byte> bytes);

}  // namespace tflite_serving
