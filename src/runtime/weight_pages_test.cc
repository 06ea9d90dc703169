#include "runtime/weight_pages.h"

#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <fstream>
#include <string>
#include <string_view>

#include <gtest/gtest.h>

#include "base/unique_fd.h"

namespace tflite_serving {
namespace {

#if !defined(TFLS_ADDRESS_SANITIZER) && !defined(TFLS_THREAD_SANITIZER)

constexpr size_t kSize = 2 * kHugePageBytes + 5000;

UniqueFd NewFile() {
  UniqueFd fd(::memfd_create("weight_pages_test", MFD_CLOEXEC));
  const std::string bytes(kSize, '\7');
  EXPECT_EQ(::write(fd.get(), bytes.data(), kSize), static_cast<ssize_t>(kSize));
  return fd;
}

// Where a mapping of the first `size` bytes begins in its huge page. It stays.
size_t PlaceOf(const UniqueFd& fd, size_t size = kSize, int protection = PROT_READ, off_t offset = 0) {
  const void* const mapping = ::mmap(nullptr, size, protection, MAP_SHARED, fd.get(), offset);
  EXPECT_NE(mapping, MAP_FAILED);
  return reinterpret_cast<uintptr_t>(mapping) % kHugePageBytes;
}

// Of address space.
size_t MappedPages() {
  size_t pages = 0;
  std::ifstream("/proc/self/statm") >> pages;
  return pages;
}

TEST(WeightPagesTest, AMappingLiesSoThatHugePagesFit) {
  const UniqueFd weights = NewFile();
  const auto page = static_cast<off_t>(::sysconf(_SC_PAGESIZE));
  for (int i = 0; i < 3; ++i) {
    const ScopedWeightPages weight_pages(weights.get());
    EXPECT_EQ(PlaceOf(weights), 0u);
    EXPECT_EQ(PlaceOf(weights, kHugePageBytes, PROT_READ, page), static_cast<size_t>(page));
  }
}

TEST(WeightPagesTest, AMappingHoldsTheFile) {
  const UniqueFd weights = NewFile();
  const ScopedWeightPages weight_pages(weights.get());
  void* const mapping = ::mmap(nullptr, kSize, PROT_READ, MAP_SHARED, weights.get(), 0);
  ASSERT_NE(mapping, MAP_FAILED);
  EXPECT_EQ(std::string_view(static_cast<const char*>(mapping), kSize), std::string(kSize, '\7'));
}

TEST(WeightPagesTest, NothingBesideItStaysMapped) {
  const UniqueFd weights = NewFile();
  PlaceOf(weights);  // whatever else a first one takes
  const size_t before = MappedPages();
  const ScopedWeightPages weight_pages(weights.get());
  void* const mapping = ::mmap(nullptr, kSize, PROT_READ, MAP_SHARED, weights.get(), 0);
  EXPECT_GT(MappedPages(), before);
  EXPECT_EQ(::munmap(mapping, kSize), 0);
  EXPECT_EQ(MappedPages(), before);
}

TEST(WeightPagesTest, AFailureIsReported) {
  const UniqueFd weights = NewFile();
  const size_t before = MappedPages();
  const ScopedWeightPages weight_pages(weights.get());
  EXPECT_EQ(::mmap(nullptr, kSize, PROT_READ, MAP_SHARED, -1, 0), MAP_FAILED);
  EXPECT_EQ(errno, EBADF);
  for (const size_t size : {SIZE_MAX, SIZE_MAX - kHugePageBytes}) {
    EXPECT_EQ(::mmap(nullptr, size, PROT_READ, MAP_SHARED, weights.get(), 0), MAP_FAILED);
    EXPECT_EQ(errno, ENOMEM);
  }
  EXPECT_EQ(MappedPages(), before);
}

// Where the kernel puts it when asked directly, and then where mmap() does: the same place, which is free again.
void ExpectMappedAsEver(const UniqueFd& fd, size_t size, int protection) {
  void* const directly = reinterpret_cast<void*>(::syscall(SYS_mmap, nullptr, size, protection, MAP_SHARED, fd.get(), 0));
  ASSERT_NE(directly, MAP_FAILED);
  ASSERT_EQ(::munmap(directly, size), 0);
  EXPECT_EQ(::mmap(nullptr, size, protection, MAP_SHARED, fd.get(), 0), directly);
}

TEST(WeightPagesTest, OtherMappingsAreMadeAsEver) {
  const UniqueFd weights = NewFile();
  const UniqueFd other = NewFile();
  ExpectMappedAsEver(weights, kSize, PROT_READ);  // not asked for
  const ScopedWeightPages weight_pages(weights.get());
  ExpectMappedAsEver(other, kSize, PROT_READ);
  ExpectMappedAsEver(weights, kHugePageBytes - 1, PROT_READ);  // small
  ExpectMappedAsEver(weights, kSize, PROT_READ | PROT_WRITE);  // to be written
}

#endif

}  // namespace
}  // namespace tflite_serving
