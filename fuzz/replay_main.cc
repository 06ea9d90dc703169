// Runs every file of the corpus folders given as arguments through LLVMFuzzerTestOneInput, so that what a fuzzer once found stays fixed, under
// any compiler. A folder without files is an error: it would be a test that cannot fail.
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <system_error>
#include <vector>

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);

namespace {

// The number of inputs run, or -1 if one of them cannot be read.
int ReplayFolder(const std::filesystem::path& folder) {
  int replayed = 0;
  std::error_code error;
  for (std::filesystem::directory_iterator entry(folder, error), end; !error && entry != end; entry.increment(error)) {
    std::ifstream file(entry->path(), std::ios::binary);
    const std::vector<char> input{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
    if (!file.is_open() || file.bad()) {
      std::fprintf(stderr, "%s: cannot be read\n", entry->path().c_str());
      return -1;
    }
    // Named before it runs: a crash then says on which input.
    std::fprintf(stderr, "%s (%zu bytes)\n", entry->path().c_str(), input.size());
    LLVMFuzzerTestOneInput(reinterpret_cast<const uint8_t*>(input.data()), input.size());
    ++replayed;
  }
  if (error) std::fprintf(stderr, "%s: %s\n", folder.c_str(), error.message().c_str());
  return error ? -1 : replayed;
}

}  // namespace

int main(int argc, char** argv) {
  int folders_replayed = 0;
  for (int i = 1; i < argc; ++i) {
    const int inputs = ReplayFolder(argv[i]);
    if (inputs == 0) std::fprintf(stderr, "%s: no input in this corpus\n", argv[i]);
    if (inputs <= 0) return 1;
    ++folders_replayed;
  }
  if (folders_replayed == 0) std::fprintf(stderr, "usage: %s CORPUS_FOLDER...\n", argv[0]);
  return folders_replayed > 0 ? 0 : 1;
}
