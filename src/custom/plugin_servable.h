// A servable in a shared library (include/tflite_serving_plugin.h), run in this process: what the library does to it, it does to the server.
#pragma once

#include <cstddef>
#include <functional>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include <tflite_serving_plugin.h>

#include "base/plugin_library.h"
#include "base/status.h"
#include "servable/servable.h"

namespace tflite_serving {

struct PluginOptions {
  std::string module_path;                        // of the library
  std::string servable_path;                      // its version's directory
  std::map<std::string, std::string> parameters;  // handed to the plug-in
  // Opens the .tflite at a path for the plug-in. Used until Load returns.
  std::function<StatusOr<ServableHandle>(const std::string& path)> open_model;
};

// Thread-safe. Destruction waits for nothing, and unloads the library with its last servable.
class PluginServable : public Servable {
 public:
  // INVALID_ARGUMENT for what is no such library, or one of another version, and for signatures that nothing can be made of; the plug-in's own
  // errors. All name the library.
  static StatusOr<std::unique_ptr<PluginServable>> Load(ServableId id, const PluginOptions& options);
  ~PluginServable() override;

  const ServableId& id() const override { return id_; }
  std::span<const Signature> signatures() const override { return signatures_; }
  // Whether requests to signature number `signature` may share a run.
  bool batchable(size_t signature) const { return batchable_[signature]; }

  // Runs on the calling thread, and calls `done` there. INTERNAL if the plug-in answers nothing, or something else than its signature says.
  void Run(const RunRequest& request, RunDone done) override;
  // Nobody knows how long it takes.
  bool RunsInline(size_t) const override { return false; }

  // Of the models that it has opened.
  size_t memory_bytes() const override;
  size_t num_interpreters() const override;

 private:
  PluginServable(ServableId id, std::unique_ptr<PluginLibrary> library, const TflsPlugin& plugin);
  Status LoadInstance(const PluginOptions& options);
  Status ReadSignatures();

  const ServableId id_;
  const std::unique_ptr<PluginLibrary> library_;
  const TflsPlugin& plugin_;
  std::vector<std::unique_ptr<TflsModel>> models_;
  void* instance_ = nullptr;
  bool is_loaded_ = false;
  std::vector<Signature> signatures_;
  std::vector<bool> batchable_;
};

}  // namespace tflite_serving
