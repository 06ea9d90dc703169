// A shared library that exports a function of include/tflite_serving_plugin.h.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>

#include <tflite_serving_plugin.h>

#include "base/status.h"

namespace tflite_serving {

// What a function of the library returned: its code, and the reason that it wrote.
Status StatusFromPlugin(TflsStatus code, TflsError& error);

// Immutable, so thread-safe. What it has exported is valid as long as it lives.
class PluginLibrary {
 public:
  // Loads the library and runs its initialisers, unless the file is loaded already; its symbols are seen by nobody else. Symbolic links are followed
  // first, so one that leads to another file now loads that file. INVALID_ARGUMENT with the loader's reason.
  static StatusOr<std::unique_ptr<PluginLibrary>> Open(const std::string& path);
  ~PluginLibrary();
  PluginLibrary(const PluginLibrary&) = delete;
  PluginLibrary& operator=(const PluginLibrary&) = delete;

  // What the exported function `name` returns, a TflsPlugin or TflsOperators. INVALID_ARGUMENT if there is no such function, or its struct is one of
  // another version. All messages name the library.
  template <typename T>
  StatusOr<const T*> Exported(const char* name) const {
    using Function = const T* (*)();
    const auto function = reinterpret_cast<Function>(Find(name));
    const T* const exported = function == nullptr ? nullptr : function();
    if (exported == nullptr) return InvalidArgumentError(path_ + (function == nullptr ? " exports no function " : ": null came from ") + name);
    TFLS_RETURN_IF_ERROR(CheckVersion(exported->abi_version, exported->struct_size, sizeof(T)));
    return exported;
  }

 private:
  PluginLibrary(std::string path, void* handle) : path_(std::move(path)), handle_(handle) {}
  void* Find(const char* name) const;
  Status CheckVersion(uint32_t abi_version, uint32_t struct_size, size_t least_size) const;

  const std::string path_;
  void* const handle_;
};

}  // namespace tflite_serving
