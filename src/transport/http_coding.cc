#include "transport/http_coding.h"

#define ZLIB_CONST  // zlib reads its input only
#include <libdeflate.h>
#include <zlib.h>

#include <algorithm>
#include <optional>

namespace tflite_serving {
namespace {

constexpr HttpRefusal kCorrupt = {400, "the request body is not valid gzip or deflate data"};
constexpr HttpRefusal kTooLarge = {413, "the inflated request body is larger than this server accepts"};
constexpr HttpRefusal kOutOfMemory = {503, "no memory to inflate the request body"};

// What inflateInit2 calls the three formats.
constexpr int kZlibFormat = 15;
constexpr int kGzipFormat = 16 + 15;
constexpr int kBareFormat = -15;

// Bodies usually inflate to less than this many times their size; the first memory is made for that.
constexpr size_t kUsualRatio = 4;

// The fastest; higher levels make JSON of numbers a few per cent smaller at several times the cost.
constexpr int kGzipLevel = 1;

char Lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c | ' ') : c; }
bool IsWord(std::string_view text, std::string_view word) { return std::ranges::equal(text, word, {}, Lower); }

std::string_view Trim(std::string_view text) {
  const size_t begin = text.find_first_not_of(" \t");
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(" \t") - begin + 1);
}

// Removes what stands before the first `separator`, and that, from the front of `rest`, and returns it trimmed.
std::string_view TakePart(std::string_view& rest, char separator) {
  const size_t end = std::min(rest.find(separator), rest.size());
  const std::string_view part = Trim(rest.substr(0, end));
  rest.remove_prefix(std::min(end + 1, rest.size()));
  return part;
}

// The weight of "gzip;q=0.25" in thousandths. 1000 without one, 0 for one that is malformed: that is not what the client asked for.
int Weight(std::string_view parameters) {
  constexpr size_t kMaxDecimals = 3;
  while (!parameters.empty()) {
    std::string_view value = TakePart(parameters, ';');
    if (!IsWord(TakePart(value, '='), "q")) continue;
    if (value.empty() || (value[0] != '0' && value[0] != '1') || (value.size() > 1 && value[1] != '.')) return 0;
    if (value.size() > 2 + kMaxDecimals) return 0;
    int weight = (value[0] - '0') * 1000;
    int unit = 100;
    for (const char digit : value.substr(std::min<size_t>(value.size(), 2))) {
      if (digit < '0' || digit > '9') return 0;
      weight += (digit - '0') * unit;
      unit /= 10;
    }
    return std::min(weight, 1000);
  }
  return 1000;
}

// zlib's two bytes before a deflate stream: method 8, a window that exists, a checksum. No encoder begins a bare stream like this.
bool HasZlibHeader(std::string_view bytes) {
  if (bytes.size() < 2) return false;
  const auto first = static_cast<unsigned char>(bytes[0]);
  const auto second = static_cast<unsigned char>(bytes[1]);
  return (first & 0x0f) == 8 && first >> 4 <= 7 && (first * 256 + second) % 31 == 0;
}

int FormatOf(HttpCoding coding, std::string_view encoded) {
  if (coding == HttpCoding::kGzip) return kGzipFormat;
  return HasZlibHeader(encoded) ? kZlibFormat : kBareFormat;
}

struct FreeCompressor {
  void operator()(libdeflate_compressor* compressor) const { libdeflate_free_compressor(compressor); }
};

}  // namespace

HttpCoding ParseContentEncoding(std::string_view value) {
  HttpCoding coding = HttpCoding::kIdentity;
  while (!value.empty()) {
    const std::string_view name = TakePart(value, ',');
    if (name.empty() || IsWord(name, "identity")) continue;
    if (coding != HttpCoding::kIdentity) return HttpCoding::kUnsupported;
    if (IsWord(name, "gzip") || IsWord(name, "x-gzip")) {
      coding = HttpCoding::kGzip;
    } else if (IsWord(name, "deflate")) {
      coding = HttpCoding::kDeflate;
    } else {
      return HttpCoding::kUnsupported;
    }
  }
  return coding;
}

bool AcceptsGzip(std::string_view value) {
  std::optional<int> gzip;
  int others = 0;
  int identity = 0;
  while (!value.empty()) {
    std::string_view item = TakePart(value, ',');
    const std::string_view name = TakePart(item, ';');
    if (IsWord(name, "gzip") || IsWord(name, "x-gzip")) {
      gzip = Weight(item);
    } else if (name == "*") {
      others = Weight(item);
    } else if (IsWord(name, "identity")) {
      identity = Weight(item);
    }
  }
  const int weight = gzip.value_or(others);
  return weight > 0 && weight >= identity;
}

HttpInflater::HttpInflater(HttpCoding coding, std::string_view encoded, size_t max_bytes)
    : coding_(coding),
      max_bytes_(max_bytes),
      encoded_bytes_(encoded.size()),
      rest_(encoded),
      stream_(std::make_unique<z_stream>()),
      ready_(inflateInit2(stream_.get(), FormatOf(coding, encoded)) == Z_OK) {}

HttpInflater::~HttpInflater() {
  if (ready_) inflateEnd(stream_.get());
}

// The buffer may hold one byte more than is allowed: that one is the proof that there is more.
bool HttpInflater::MakeRoom(ByteBuffer& body) const {
  if (!body.room().empty()) return true;
  const size_t wanted = body.empty() ? std::clamp(kUsualRatio * encoded_bytes_, kInputBytes, kFirstBodyBytes) : body.size();
  return body.MakeRoom(std::min(wanted, max_bytes_ + 1 - body.size()));
}

HttpRefusal HttpInflater::Inflate(ByteBuffer& body, bool& done) {
  done = false;
  if (!ready_ || !MakeRoom(body)) return kOutOfMemory;
  const size_t given = std::min(rest_.size(), kInflateSliceBytes);
  const size_t room = std::min({body.room().size(), kInflateSliceBytes, max_bytes_ + 1 - body.size()});
  stream_->next_in = reinterpret_cast<const Bytef*>(rest_.data());
  stream_->avail_in = static_cast<uInt>(given);
  stream_->next_out = reinterpret_cast<Bytef*>(body.room().data());
  stream_->avail_out = static_cast<uInt>(room);
  const int result = inflate(stream_.get(), Z_NO_FLUSH);
  rest_.remove_prefix(given - stream_->avail_in);
  body.Commit(room - stream_->avail_out);

  if (body.size() > max_bytes_) return kTooLarge;
  switch (result) {
    case Z_STREAM_END:
      done = rest_.empty();
      if (done) return {};
      // Several gzip members, one behind the other, are one body.
      if (coding_ != HttpCoding::kGzip || ++members_ > kMaxGzipMembers || inflateReset(stream_.get()) != Z_OK) return kCorrupt;
      return {};
    case Z_OK:
    case Z_BUF_ERROR: {
      const bool needs_more = rest_.empty() && stream_->avail_out > 0;
      return needs_more ? kCorrupt : HttpRefusal{};
    }
    case Z_MEM_ERROR:
      return kOutOfMemory;
    default:
      return kCorrupt;
  }
}

bool Gzip(std::string_view body, std::string& out) {
  thread_local const std::unique_ptr<libdeflate_compressor, FreeCompressor> compressor(libdeflate_alloc_compressor(kGzipLevel));
  if (compressor == nullptr || body.empty()) return false;
  out.resize(body.size() - 1);
  const size_t size = libdeflate_gzip_compress(compressor.get(), body.data(), body.size(), out.data(), out.size());
  out.resize(size);
  return size > 0;
}

}  // namespace tflite_serving
