#include "base/plugin_library.h"

#include <dlfcn.h>

#include <filesystem>
#include <string_view>

#include <fmt/format.h>

namespace tflite_serving {

Status StatusFromPlugin(TflsStatus code, TflsError& error) {
  if (code == TFLS_OK) return OkStatus();
  const bool is_known = code > 0 && code <= static_cast<int>(StatusCode::kUnauthenticated);
  error.text[TFLS_ERROR_CHARS - 1] = '\0';
  const std::string_view text = error.text;
  return Status(is_known ? static_cast<StatusCode>(code) : StatusCode::kInternal,
                text.empty() ? fmt::format("failed with code {} and gave no reason", code) : std::string(text));
}

StatusOr<std::unique_ptr<PluginLibrary>> PluginLibrary::Open(const std::string& path) {
  std::error_code error;
  const std::filesystem::path file = std::filesystem::canonical(path, error);
  if (error) return InvalidArgumentError(fmt::format("{}: {}", path, error.message()));
  void* const handle = ::dlopen(file.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (handle == nullptr) return InvalidArgumentError(::dlerror());  // NOLINT(concurrency-mt-unsafe): glibc has one for each thread
  return std::unique_ptr<PluginLibrary>(new PluginLibrary(path, handle));
}

PluginLibrary::~PluginLibrary() { ::dlclose(handle_); }

void* PluginLibrary::Find(const char* name) const { return ::dlsym(handle_, name); }

Status PluginLibrary::CheckVersion(uint32_t abi_version, uint32_t struct_size, size_t least_size) const {
  if (abi_version == TFLS_ABI_VERSION && struct_size >= least_size) return OkStatus();
  return InvalidArgumentError(
      fmt::format("{} was compiled for version {} of tflite_serving_plugin.h with a struct of {} bytes; this server takes version "
                  "{} with {}",
                  path_, abi_version, struct_size, TFLS_ABI_VERSION, least_size));
}

}  // namespace tflite_serving
