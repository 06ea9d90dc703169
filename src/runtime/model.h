// One .tflite file, ready to be compiled: its bytes, its signatures, and the packed weights that all its interpreters share.
//
// XNNPACK rearranges ("packs") a model's weights when a model is compiled, which for each interpreter would cost about the file's size again. The
// first compilation writes them into a memfd, the weight cache; every later one maps them from there. The cache is named by /proc/self/fd/N, so
// nothing is ever written to a disk.
#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <string>

#include "base/sealed_file.h"
#include "base/status.h"
#include "base/unique_fd.h"
#include "runtime/library_operator.h"
#include "runtime/litert_handles.h"
#include "runtime/model_graph.h"
#include "runtime/operator_nodes.h"

namespace tflite_serving {

// Larger files are refused before they are read.
inline constexpr size_t kMaxModelBytes = size_t{64} << 30;

// Immutable after its first Compile has returned, and thread-safe from then on. Must outlive what it compiled.
//
// LiteRT checks files badly: a corrupt one may end the process in Open or Compile. Try a file of foreign origin in a child process first
// (model_trial.h).
class Model {
 public:
  // `path` is for messages only. The file, and the libraries with operators that it may use, are kept as long as the model.
  static StatusOr<std::unique_ptr<Model>> Open(const std::string& path, std::unique_ptr<SealedFile> file, const OperatorLibraries& libraries = {});
  // The same over bytes that the caller keeps alive.
  static StatusOr<std::unique_ptr<Model>> Open(const std::string& path, std::span<const std::byte> bytes, const OperatorLibraries& libraries = {});
  Model(const Model&) = delete;
  Model& operator=(const Model&) = delete;

  const std::string& path() const { return path_; }
  const ModelGraph& graph() const { return graph_; }

  // Compiles the model for the CPU, all its signatures at once: one interpreter's worth. The result remembers failures until they are taken with
  // TakeErrorMessages. A missing operator is not noticed before the first planning of memory.
  // `nodes`, made of graph().library_operators, are called by the result and must outlive it.
  // `profiled_with`: it can note what its runs do (profiler_events.h), each is the slower for it, and it still reads from its options, which are
  // handed over here and must outlive it; null: it cannot. The first call of a process may run alone only: it fills the weight cache, and catches
  // standard error (stderr_capture.h).
  StatusOr<CompiledModelPtr> Compile(int num_threads, OperatorNodes& nodes, OptionsPtr* profiled_with = nullptr) const;

  // What the runtime reads: the file, or what became of it when its graphs had to be edited.
  std::span<const std::byte> runtime_file() const { return runtime_file_; }
  size_t FileBytes() const { return runtime_file_.size(); }
  // Bytes of packed weights in the cache; 0 before the first compilation.
  size_t WeightCacheBytes() const;

 private:
  Model(std::string path, ModelGraph graph, OperatorLibraries libraries)
      : path_(std::move(path)), libraries_(std::move(libraries)), graph_(std::move(graph)) {}
  Status CheckSignatures() const;
  StatusOr<OptionsPtr> NewOptions(int num_threads, OperatorNodes& nodes) const;
  // UNIMPLEMENTED, naming the operator and its place, if one's version is too new. Catches standard error meanwhile.
  Status ExplainCompileFailure(int num_threads, OperatorNodes& nodes, LiteRtStatus failure) const;

  const std::string path_;
  const OperatorLibraries libraries_;
  const ModelGraph graph_;
  std::unique_ptr<SealedFile> file_;  // null if the caller keeps the bytes, or the runtime reads graph_.edited_file
  std::span<const std::byte> runtime_file_;
  UniqueFd weight_cache_;
  EnvironmentPtr environment_;
  ModelPtr model_;  // last: refers to all above
};

}  // namespace tflite_serving
