#include "lifecycle/storage_path.h"

#include <algorithm>
#include <charconv>
#include <map>
#include <optional>
#include <utility>

#include <fmt/format.h>
#include <fmt/ranges.h>

namespace tflite_serving {
namespace {

constexpr std::string_view kFileScheme = "file://";
constexpr std::string_view kModelFileName = "model.tflite";
constexpr std::string_view kModelSuffix = ".tflite";
constexpr int64_t kOnlyVersion = 1;       // of a base path that holds its model without a version directory
constexpr size_t kMaxNamesInMessage = 5;  // of the files that a message lists

bool HasModelSuffix(std::string_view name) { return name.ends_with(kModelSuffix) && !name.starts_with('.'); }

std::string Join(const std::string& directory, std::string_view name) {
  return fmt::format("{}{}{}", directory, directory.ends_with('/') ? "" : "/", name);
}

// "a, b and 7 more", or "nothing".
std::string ListNames(const std::vector<std::string>& names) {
  if (names.empty()) return "nothing";
  const auto shown = static_cast<ptrdiff_t>(std::min(names.size(), kMaxNamesInMessage));
  const std::string list = fmt::format("{}", fmt::join(names.begin(), names.begin() + shown, ", "));
  return names.size() <= kMaxNamesInMessage ? list : fmt::format("{} and {} more", list, names.size() - kMaxNamesInMessage);
}

std::optional<int64_t> ParseVersion(std::string_view name) {
  if (name.empty() || name.find_first_not_of("0123456789") != std::string_view::npos) return std::nullopt;
  int64_t version = 0;
  const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), version);
  if (error != std::errc()) return std::nullopt;
  return version;
}

// Which of the entries `names` of `directory` are its models: just model.tflite if there is one. An error is a file that cannot be asked about.
StatusOr<std::vector<std::string>> FindModels(const FileSystem& files, const std::string& directory, const std::vector<std::string>& names) {
  std::vector<std::string> models;
  for (const std::string& name : names) {
    if (!HasModelSuffix(name)) continue;
    TFLS_ASSIGN_OR_RETURN(const FileKind kind, files.Kind(Join(directory, name)));
    if (kind != FileKind::kFile) continue;
    if (name == kModelFileName) return std::vector<std::string>{name};
    models.push_back(name);
  }
  return models;
}

std::string DescribeNoModel(const std::string& directory, const std::vector<std::string>& names) {
  if (names.empty()) return fmt::format("{} is empty", directory);
  return fmt::format("{} holds no {} file, only {}", directory, kModelSuffix, ListNames(names));
}

std::string DescribeSeveralModels(const std::string& directory, const std::vector<std::string>& models) {
  return fmt::format("{} holds {} {} files and none is named {}: {}; keep one, or name one {}", directory, models.size(), kModelSuffix,
                     kModelFileName, ListNames(models), kModelFileName);
}

// A directory's entries come and go (Python leaves its __pycache__): only the directory itself tells one version from another.
StatusOr<FileStamp> StampOfDirectory(const FileSystem& files, const std::string& directory, const VersionForm& form) {
  if (!form.watched.empty()) return files.Stamp(form.watched.starts_with('/') ? form.watched : Join(directory, form.watched));
  TFLS_ASSIGN_OR_RETURN(const FileStamp stamp, files.Stamp(directory));
  return FileStamp{.device = stamp.device, .inode = stamp.inode};
}

// Version `number`, whose directory is `directory`.
StorageVersion ReadVersion(const FileSystem& files, std::string_view model_name, int64_t number, const std::string& directory,
                           const VersionForm& form) {
  const std::string version = fmt::format("Version {} of servable {}", number, model_name);
  const auto fail = [number](Status status) { return StorageVersion{.version = number, .status = std::move(status)}; };
  const auto cannot_read = [&](const Status& status) {
    return fail(Status(status.code(), fmt::format("{} cannot be read: {}", version, status.message())));
  };
  if (form.is_directory) {
    const StatusOr<FileStamp> stamp = StampOfDirectory(files, directory, form);
    if (!stamp.ok()) return cannot_read(stamp.status());
    return {.version = number, .path = directory, .stamp = *stamp};
  }
  const StatusOr<std::vector<std::string>> names = files.List(directory);
  if (!names.ok()) return cannot_read(names.status());
  const StatusOr<std::vector<std::string>> models = FindModels(files, directory, *names);
  if (!models.ok()) return cannot_read(models.status());
  if (models->empty()) return fail(NotFoundError(fmt::format("{} has no model: {}", version, DescribeNoModel(directory, *names))));
  if (models->size() > 1) return fail(InvalidArgumentError(fmt::format("{} is ambiguous: {}", version, DescribeSeveralModels(directory, *models))));
  const std::string path = Join(directory, models->front());
  const StatusOr<FileStamp> stamp = files.Stamp(path);
  if (!stamp.ok()) return cannot_read(stamp.status());
  return {.version = number, .path = path, .stamp = *stamp};
}

// The numeric directories among the entries `names` of `base_path`, lowest first. An entry that cannot be asked about is kept: reading it as a
// version gives the reason, to that version alone.
std::vector<StorageVersion> ReadVersions(const FileSystem& files, std::string_view model_name, const std::string& base_path,
                                         const std::vector<std::string>& names, const VersionForm& form) {
  std::map<int64_t, std::vector<std::string>> directories;
  for (const std::string& name : names) {
    const std::optional<int64_t> number = ParseVersion(name);
    if (!number) continue;
    const StatusOr<FileKind> kind = files.Kind(Join(base_path, name));
    if (!kind.ok() || *kind == FileKind::kDirectory) directories[*number].push_back(name);
  }
  std::vector<StorageVersion> versions;
  for (const auto& [number, same_number] : directories) {
    versions.push_back(ReadVersion(files, model_name, number, Join(base_path, same_number.back()), form));
    if (same_number.size() == 1) continue;
    versions.back().warning = fmt::format("Duplicate version directories detected. Servable {} under {}: {} are all version {}; {} is used",
                                          model_name, base_path, fmt::join(same_number, ", "), number, same_number.back());
  }
  return versions;
}

// A URL's user and password stay secret.
std::string WithoutUser(std::string_view base_path) {
  const size_t scheme_end = base_path.find("://");
  if (scheme_end == std::string_view::npos) return std::string(base_path);
  const size_t begin = scheme_end + 3;
  const size_t end = base_path.substr(0, base_path.find('/', begin)).rfind('@');
  if (end == std::string_view::npos || end < begin) return std::string(base_path);
  return fmt::format("{}...{}", base_path.substr(0, begin), base_path.substr(end));
}

Status CouldNotFind(std::string_view model_name, std::string_view base_path, const Status& status) {
  return InvalidArgumentError(
      fmt::format("Could not find base path {} for servable {} with error {}", WithoutUser(base_path), model_name, status.ToString()));
}

// The model file `path` as the only version.
StatusOr<std::vector<StorageVersion>> OnlyVersion(const FileSystem& files, std::string_view model_name, std::string_view base_path,
                                                  const std::string& path) {
  const StatusOr<FileStamp> stamp = files.Stamp(path);
  if (!stamp.ok()) return CouldNotFind(model_name, base_path, stamp.status());
  return std::vector<StorageVersion>{{.version = kOnlyVersion, .path = path, .stamp = *stamp}};
}

// What is in the directory `base_path`, whose entries are `names`.
StatusOr<std::vector<StorageVersion>> FindInDirectory(const FileSystem& files, std::string_view model_name, const std::string& base_path,
                                                      const std::vector<std::string>& names, const VersionForm& form) {
  std::vector<StorageVersion> versions = ReadVersions(files, model_name, base_path, names, form);
  if (!versions.empty()) return versions;
  if (form.is_directory) return std::vector<StorageVersion>{ReadVersion(files, model_name, kOnlyVersion, base_path, form)};

  const StatusOr<std::vector<std::string>> models = FindModels(files, base_path, names);
  if (!models.ok()) return CouldNotFind(model_name, base_path, models.status());
  if (models->size() == 1) return OnlyVersion(files, model_name, base_path, Join(base_path, models->front()));
  if (models->empty()) {
    return NotFoundError(
        fmt::format("No versions of servable {} found under base path {}. Did you forget to name your leaf directory as a number (eg. '/1/')? A base "
                    "path may also be a {} file or a directory that holds one, but {}",
                    model_name, base_path, kModelSuffix, DescribeNoModel(base_path, names)));
  }
  return InvalidArgumentError(
      fmt::format("Base path {} for servable {} is ambiguous: {}", base_path, model_name, DescribeSeveralModels(base_path, *models)));
}

// `base_path` as `files` take it.
StatusOr<std::string> PlainPath(const FileSystem& files, std::string_view model_name, const std::string& base_path) {
  if (files.has_urls()) return base_path;
  if (base_path.empty()) return InvalidArgumentError(fmt::format("The base path for servable {} is empty", model_name));
  if (base_path.starts_with(kFileScheme)) {
    std::string path = base_path.substr(kFileScheme.size());
    if (path.starts_with('/')) return path;
    return InvalidArgumentError(
        fmt::format("Base path {} for servable {}: expected an absolute path after {}, got \"{}\"", base_path, model_name, kFileScheme, path));
  }
  const size_t scheme_end = base_path.find("://");
  if (scheme_end != std::string::npos && base_path.find('/') == scheme_end + 1) {
    return InvalidArgumentError(
        fmt::format("Base path {} for servable {}: expected a local path, or a URL of s3://, gs://, http:// or https://, got {}://", base_path,
                    model_name, base_path.substr(0, scheme_end)));
  }
  return base_path;
}

}  // namespace

StatusOr<std::vector<StorageVersion>> FindVersions(const FileSystem& files, std::string_view model_name, const std::string& base_path,
                                                   const VersionForm& form) {
  TFLS_ASSIGN_OR_RETURN(const std::string path, PlainPath(files, model_name, base_path));
  const StatusOr<FileKind> kind = files.Kind(path);
  if (!kind.ok()) return CouldNotFind(model_name, base_path, kind.status());
  switch (*kind) {
    case FileKind::kMissing:
      return CouldNotFind(model_name, base_path, NotFoundError(fmt::format("{} not found", path)));
    case FileKind::kOther:
      return InvalidArgumentError(fmt::format("Base path {} for servable {} is neither a directory nor a file", base_path, model_name));
    case FileKind::kFile:
      if (form.is_directory) {
        return InvalidArgumentError(fmt::format("Base path {} for servable {} is a file, where a directory is expected", base_path, model_name));
      }
      if (path.ends_with(kModelSuffix)) return OnlyVersion(files, model_name, base_path, path);
      return InvalidArgumentError(
          fmt::format("Base path {} for servable {} is a file whose name does not end in {}", base_path, model_name, kModelSuffix));
    case FileKind::kDirectory:
      break;
  }
  const StatusOr<std::vector<std::string>> names = files.List(path);
  if (!names.ok()) return CouldNotFind(model_name, base_path, names.status());
  return FindInDirectory(files, model_name, path, *names, form);
}

}  // namespace tflite_serving
