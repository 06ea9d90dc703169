// For tests: a worker that does as it is told, in place of Python's. Its script is "json" (takes CALL; the body is what to do), "tensors" (gives its
// inputs back, and outputs of other kinds for other signatures), or a way to fail while it loads.
#include <sys/mman.h>
#include <unistd.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "custom/worker_process.h"
#include "tensor/dtype.h"

namespace tflite_serving {
namespace {

class Frame {
 public:
  explicit Frame(uint8_t type) { Put<uint8_t>(type); }
  template <typename T>
  Frame& Put(T value) {
    const auto* bytes = reinterpret_cast<const char*>(&value);
    body_.append(bytes, sizeof(T));
    return *this;
  }
  Frame& Text(std::string_view text) {
    Put<uint32_t>(static_cast<uint32_t>(text.size()));
    body_ += text;
    return *this;
  }
  Frame& Spec(std::string_view name, DType dtype) {
    Text(name).Put<uint8_t>(static_cast<uint8_t>(dtype)).Put<uint8_t>(1);
    return Put<int64_t>(-1);
  }
  void Send(int fd) const {
    const auto size = static_cast<uint32_t>(body_.size());
    std::string whole(reinterpret_cast<const char*>(&size), sizeof(size));
    whole += body_;
    if (::write(fd, whole.data(), whole.size()) != static_cast<ssize_t>(whole.size())) ::_exit(EXIT_FAILURE);
  }

 private:
  std::string body_;
};

bool ReadAll(int fd, void* to, size_t size) {
  auto* out = static_cast<char*>(to);
  while (size > 0) {
    const ssize_t n = ::read(fd, out, size);
    if (n <= 0) return false;
    out += n;
    size -= static_cast<size_t>(n);
  }
  return true;
}

template <typename T>
T Take(const char*& at) {
  T value;
  std::memcpy(&value, at, sizeof(T));
  at += sizeof(T);
  return value;
}

class TestWorker {
 public:
  TestWorker(std::string_view script, std::span<char*> fds)
      : script_(script), socket_(std::atoi(fds[0])), input_(std::atoi(fds[1])), output_(std::atoi(fds[2])) {}

  int Run() {
    uint32_t size = 0;
    while (ReadAll(socket_, &size, sizeof(size))) {
      std::vector<char> frame(size);
      if (!ReadAll(socket_, frame.data(), size)) break;
      const char* at = frame.data();
      switch (Take<uint8_t>(at)) {
        case 1:
          Load();
          break;
        case 2:
          Predict(at);
          break;
        case 3:
          Call(at);
          break;
        default:
          std::puts("unloaded");
          std::fflush(stdout);
          return EXIT_SUCCESS;
      }
    }
    return EXIT_FAILURE;
  }

 private:
  void Load() {
    if (script_ == "fail") return Frame(103).Put<uint64_t>(0).Put<uint32_t>(3).Put<uint8_t>(1).Text("NameError: no such thing").Send(socket_);
    if (script_ == "exit") {
      std::puts("no luck");
      std::fflush(stdout);
      ::_exit(3);
    }
    if (script_ == "hang") ::pause();
    if (script_ == "garbage") return Frame(99).Send(socket_);
    if (script_ == "json") return Frame(101).Put<uint8_t>(0).Put<uint8_t>(0).Put<uint32_t>(0).Send(socket_);
    Frame ready(101);
    ready.Put<uint8_t>(1).Put<uint8_t>(1).Put<uint32_t>(4);
    for (const auto& [key, dtype] :
         {std::pair("serving_default", DType::kFloat), {"text", DType::kString}, {"wrong", DType::kInt64}, {"far", DType::kFloat}}) {
      const bool takes_float = std::string_view(key) == "wrong";
      ready.Text(key).Text("").Put<uint32_t>(1).Spec("x", takes_float ? DType::kFloat : dtype).Put<uint32_t>(1).Spec("y", dtype);
    }
    ready.Send(socket_);
  }

  // Gives the inputs back where they are.
  void Predict(const char* at) {
    const auto id = Take<uint64_t>(at);
    Take<int64_t>(at);
    const auto signature = Take<uint32_t>(at);
    Take<uint32_t>(at);
    const auto dtype = Take<uint8_t>(at);
    Take<uint8_t>(at);
    const auto rows = Take<int64_t>(at);
    const auto arena = Take<uint8_t>(at);
    auto offset = Take<uint64_t>(at);
    const auto bytes = Take<uint64_t>(at);
    if (signature == 3) offset = uint64_t{1} << 40;
    Frame(102).Put(id).Put<uint32_t>(1).Put(dtype).Put<uint8_t>(1).Put(rows).Put(arena).Put(offset).Put(bytes).Send(socket_);
  }

  void Call(const char* at) {
    const auto id = Take<uint64_t>(at);
    Take<int64_t>(at);
    const auto offset = Take<uint64_t>(at);
    const auto bytes = Take<uint64_t>(at);
    const std::string body = ReadInput(offset, bytes);
    if (body == "print and abort") {
      std::puts("its line");
      std::fflush(stdout);
    }
    if (body.ends_with("abort")) std::abort();
    if (body == "hang") ::pause();
    if (body == "silence") ::close(socket_);
    if (body == "garbage") return Frame(7).Put(id).Send(socket_);
    if (body == "other") return Frame(104).Put(id + 1).Put<uint8_t>(0).Put<uint64_t>(0).Put<uint64_t>(0).Send(socket_);
    if (body == "error") return Frame(103).Put(id).Put<uint32_t>(13).Put<uint8_t>(0).Text("ValueError: it broke").Send(socket_);
    if (body == "refuse") return Frame(103).Put(id).Put<uint32_t>(3).Put<uint8_t>(0).Text("not this").Send(socket_);
    if (body == "last") return Frame(103).Put(id).Put<uint32_t>(13).Put<uint8_t>(1).Text("SystemExit: 3").Send(socket_);
    if (body == "leak") leaked_.assign(size_t{256} << 20, 'x');
    if (body == "leak") ::pause();
    if (body == "print") std::puts("a line");
    if (body == "part") std::fputs("a part of a line", stdout);
    std::fflush(stdout);
    if (::pwrite(output_, body.data(), body.size(), 64) != static_cast<ssize_t>(body.size())) ::_exit(EXIT_FAILURE);
    const bool is_error = body == "wrong";
    Frame(104).Put(id).Put<uint8_t>(is_error ? 1 : 0).Put<uint64_t>(64).Put(bytes).Send(socket_);
  }

  std::string ReadInput(uint64_t offset, uint64_t bytes) const {
    std::string text(bytes, '\0');
    if (::pread(input_, text.data(), bytes, static_cast<off_t>(offset)) != static_cast<ssize_t>(bytes)) ::_exit(EXIT_FAILURE);
    return text;
  }

  const std::string_view script_;
  const int socket_;
  const int input_;
  const int output_;
  std::vector<char> leaked_;
};

}  // namespace
}  // namespace tflite_serving

int main(int argc, char** argv) {
  const std::span<char*> words(argv, static_cast<size_t>(argc));
  if (words.size() > 1 && words[1] == tflite_serving::kPythonWorkerFlag) {
    return tflite_serving::LaunchWorker(std::span<const char* const>(argv, words.size()).subspan(2));
  }
  return words.size() == 5 ? tflite_serving::TestWorker(words[1], words.subspan(2)).Run() : EXIT_FAILURE;
}
