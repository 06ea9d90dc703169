#include "runtime/zip_file.h"

#include <zlib.h>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <optional>

#include <fmt/format.h>

namespace tflite_serving {
namespace {

// "End of central directory", at the end but for a comment. Positions of fields from its start.
constexpr uint32_t kEndMark = 0x06054b50;
constexpr size_t kEndBytes = 22;
constexpr size_t kEndEntries = 10;
constexpr size_t kEndDirectorySize = 12;
constexpr size_t kEndDirectoryOffset = 16;
constexpr size_t kMaxCommentBytes = UINT16_MAX;
// An entry of the central directory; then come the name, an extra field and a comment.
constexpr uint32_t kEntryMark = 0x02014b50;
constexpr size_t kEntryBytes = 46;
constexpr size_t kEntryFlags = 8;
constexpr size_t kEntryMethod = 10;
constexpr size_t kEntryChecksum = 16;
constexpr size_t kEntryPackedSize = 20;
constexpr size_t kEntrySize = 24;
constexpr size_t kEntryNameSize = 28;
constexpr size_t kEntryExtraSize = 30;
constexpr size_t kEntryCommentSize = 32;
constexpr size_t kEntryOffset = 42;
// What stands before a file's content; then come the name and an extra field.
constexpr uint32_t kLocalMark = 0x04034b50;
constexpr size_t kLocalBytes = 30;
constexpr size_t kLocalNameSize = 26;
constexpr size_t kLocalExtraSize = 28;

constexpr uint16_t kEncryptedFlag = 1;
constexpr uint16_t kStored = 0;
constexpr uint16_t kDeflated = 8;

using Bytes = std::span<const std::byte>;

// Little-endian; 0 outside.
template <typename T>
T Read(Bytes bytes, size_t position) {
  T value = 0;
  if (position <= bytes.size() && sizeof(value) <= bytes.size() - position) std::memcpy(&value, bytes.data() + position, sizeof(value));
  return value;
}

Status Unsound(std::string_view what) { return InvalidArgumentError(fmt::format("the ZIP archive is not sound: {}", what)); }

std::optional<size_t> FindEnd(Bytes bytes) {
  if (bytes.size() < kEndBytes) return std::nullopt;
  const size_t last = bytes.size() - kEndBytes;
  for (size_t back = 0; back <= std::min(last, kMaxCommentBytes); ++back) {
    if (Read<uint32_t>(bytes, last - back) == kEndMark) return last - back;
  }
  return std::nullopt;
}

StatusOr<std::string> Inflate(Bytes packed, size_t size) {
  std::string content(size, '\0');
  z_stream stream{};
  if (::inflateInit2(&stream, -MAX_WBITS) != Z_OK) return ResourceExhaustedError("no memory to inflate a file");
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<std::byte*>(packed.data()));  // only read
  stream.avail_in = static_cast<uInt>(packed.size());
  stream.next_out = reinterpret_cast<Bytef*>(content.data());
  stream.avail_out = static_cast<uInt>(size);
  const int result = ::inflate(&stream, Z_FINISH);
  const size_t left = stream.avail_out;
  ::inflateEnd(&stream);
  if (result != Z_STREAM_END || left != 0) return Unsound(fmt::format("a file does not inflate to the {} bytes that it should", size));
  return content;
}

// `entry` begins at the file's entry, `archive` at what its offsets count from.
StatusOr<std::string> ReadEntry(Bytes archive, Bytes entry) {
  const size_t packed_size = Read<uint32_t>(entry, kEntryPackedSize);
  const size_t size = Read<uint32_t>(entry, kEntrySize);
  const auto method = Read<uint16_t>(entry, kEntryMethod);
  if ((Read<uint16_t>(entry, kEntryFlags) & kEncryptedFlag) != 0) return UnimplementedError("the file is encrypted");
  if (method != kStored && method != kDeflated) return UnimplementedError(fmt::format("the file is packed with method {}", method));
  if (std::max(size, packed_size) > kMaxZippedFileBytes) {
    return ResourceExhaustedError(fmt::format("the file has {} bytes ({} packed), the limit is {}", size, packed_size, kMaxZippedFileBytes));
  }
  const size_t offset = Read<uint32_t>(entry, kEntryOffset);
  if (Read<uint32_t>(archive, offset) != kLocalMark) return Unsound(fmt::format("no file begins at {}", offset));
  const size_t start = offset + kLocalBytes + Read<uint16_t>(archive, offset + kLocalNameSize) + Read<uint16_t>(archive, offset + kLocalExtraSize);
  if (start > archive.size() || packed_size > archive.size() - start) return Unsound("a file goes on behind its end");
  const Bytes packed = archive.subspan(start, packed_size);
  std::string content(reinterpret_cast<const char*>(packed.data()), packed.size());
  if (method == kDeflated) {
    TFLS_ASSIGN_OR_RETURN(content, Inflate(packed, size));
  }
  const auto checksum = static_cast<uint32_t>(::crc32(0, reinterpret_cast<const Bytef*>(content.data()), static_cast<uInt>(content.size())));
  if (content.size() != size || checksum != Read<uint32_t>(entry, kEntryChecksum)) return Unsound("a file's size or checksum is not the one noted");
  return content;
}

}  // namespace

StatusOr<std::string> ReadZippedFile(std::span<const std::byte> bytes, std::string_view name) {
  const std::optional<size_t> end = FindEnd(bytes);
  if (!end) return NotFoundError("there is no ZIP archive");
  const size_t directory_size = Read<uint32_t>(bytes, *end + kEndDirectorySize);
  const size_t directory_offset = Read<uint32_t>(bytes, *end + kEndDirectoryOffset);
  if (directory_size > *end || directory_offset > *end - directory_size) return Unsound("its directory lies outside");
  // Offsets count from the archive's start, or from that of the file that it was appended to.
  const Bytes archive = bytes.subspan(*end - directory_size - directory_offset);
  Bytes directory = bytes.subspan(*end - directory_size, directory_size);
  for (size_t left = Read<uint16_t>(bytes, *end + kEndEntries); left > 0; --left) {
    if (Read<uint32_t>(directory, 0) != kEntryMark || directory.size() < kEntryBytes) return Unsound("its directory ends early");
    const size_t name_size = Read<uint16_t>(directory, kEntryNameSize);
    const size_t entry_size = kEntryBytes + name_size + Read<uint16_t>(directory, kEntryExtraSize) + Read<uint16_t>(directory, kEntryCommentSize);
    if (entry_size > directory.size()) return Unsound("its directory ends early");
    const std::string_view entry_name(reinterpret_cast<const char*>(directory.data()) + kEntryBytes, name_size);
    if (entry_name == name) return ReadEntry(archive, directory);
    directory = directory.subspan(entry_size);
  }
  return NotFoundError(fmt::format("there is no file \"{}\" in the ZIP archive", name));
}

}  // namespace tflite_serving
