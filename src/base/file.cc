#include "base/file.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <memory>

#include <fmt/format.h>

#include "base/unique_fd.h"

namespace tflite_serving {

StatusOr<FileKind> GetFileKind(const std::string& path) {
  struct stat info{};
  if (::stat(path.c_str(), &info) != 0) {
    if (errno == ENOENT || errno == ENOTDIR) return FileKind::kMissing;
    return ErrnoToStatus(errno, path);
  }
  if (S_ISREG(info.st_mode)) return FileKind::kFile;
  if (S_ISDIR(info.st_mode)) return FileKind::kDirectory;
  return FileKind::kOther;
}

StatusOr<FileStamp> GetFileStamp(const std::string& path) {
  const auto nanoseconds = [](const timespec& time) { return int64_t{time.tv_sec} * 1'000'000'000 + time.tv_nsec; };
  struct stat info{};
  if (::stat(path.c_str(), &info) != 0) return ErrnoToStatus(errno, path);
  return FileStamp{.device = info.st_dev,
                   .inode = info.st_ino,
                   .size_bytes = info.st_size,
                   .modified_ns = nanoseconds(info.st_mtim),
                   .status_changed_ns = nanoseconds(info.st_ctim)};
}

StatusOr<std::string> ReadFile(const std::string& path, size_t limit_bytes) {
  const UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd.valid()) return ErrnoToStatus(errno, path);
  std::string content;
  char chunk[64 * 1024];
  for (;;) {
    const ssize_t n = ::read(fd.get(), chunk, sizeof(chunk));
    if (n == 0) return content;
    if (n < 0) {
      if (errno == EINTR) continue;
      return ErrnoToStatus(errno, path);
    }
    content.append(chunk, static_cast<size_t>(n));
    if (content.size() > limit_bytes) return ResourceExhaustedError(fmt::format("{}: larger than the limit of {} bytes", path, limit_bytes));
  }
}

StatusOr<std::vector<std::string>> ListDirectory(const std::string& path) {
  const std::unique_ptr<DIR, int (*)(DIR*)> directory(::opendir(path.c_str()), ::closedir);
  if (directory == nullptr) return ErrnoToStatus(errno, path);
  std::vector<std::string> names;
  for (;;) {
    errno = 0;
    const dirent* entry = ::readdir(directory.get());  // NOLINT(concurrency-mt-unsafe): glibc's is safe while no two threads share the stream
    if (entry == nullptr) break;
    const std::string name = entry->d_name;
    if (name != "." && name != "..") names.push_back(name);
  }
  if (errno != 0) return ErrnoToStatus(errno, path);
  std::sort(names.begin(), names.end());
  return names;
}

const FileSystem& FileSystem::Real() {
  static const FileSystem real;
  return real;
}

}  // namespace tflite_serving
