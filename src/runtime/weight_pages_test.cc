#include "runtime/weight_pages.h"

#include <sys/mman.h>
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

// With a file in memory of kSize bytes.
class WeightPagesTest : public testing::Test {
 protected:
  WeightPagesTest() : fd_(::memfd_create("weight_pages_test", MFD_CLOEXEC)) {
    const std::string bytes(kSize, '\7');
    EXPECT_EQ(::write(fd_.get(), bytes.data(), kSize), static_cast<ssize_t>(kSize));
  }
  void* Map(size_t size, int protection = PROT_READ) { return ::mmap(nullptr, size, protection, MAP_SHARED, fd_.get(), 0); }

  UniqueFd fd_;
};

bool IsAligned(const void* address) { return reinterpret_cast<uintptr_t>(address) % kHugePageBytes == 0; }

// Of address space.
size_t MappedPages() {
  size_t pages = 0;
  std::ifstream("/proc/self/statm") >> pages;
  return pages;
}

TEST_F(WeightPagesTest, AMappingBeginsWhereAHugePageCan) {
  for (int i = 0; i < 3; ++i) {
    const ScopedWeightPages weight_pages;
    void* const mapping = Map(kSize);
    ASSERT_NE(mapping, MAP_FAILED);
    EXPECT_TRUE(IsAligned(mapping));
    EXPECT_EQ(std::string_view(static_cast<const char*>(mapping), kSize), std::string(kSize, '\7'));
  }
}

TEST_F(WeightPagesTest, NothingBesideItStaysMapped) {
  void* mapping = Map(kSize);  // whatever else a first one takes
  ::munmap(mapping, kSize);
  const size_t before = MappedPages();
  const ScopedWeightPages weight_pages;
  mapping = Map(kSize);
  EXPECT_EQ(::munmap(mapping, kSize), 0);
  EXPECT_EQ(MappedPages(), before);
}

TEST_F(WeightPagesTest, AFailureIsReported) {
  const size_t before = MappedPages();
  const ScopedWeightPages weight_pages;
  EXPECT_EQ(::mmap(nullptr, kSize, PROT_READ, MAP_SHARED, -1, 0), MAP_FAILED);
  EXPECT_EQ(errno, EBADF);
  EXPECT_EQ(::mmap(nullptr, SIZE_MAX - 10, PROT_READ, MAP_SHARED, fd_.get(), 0), MAP_FAILED);
  EXPECT_EQ(errno, ENOMEM);
  EXPECT_EQ(MappedPages(), before);
}

// Of two neighbours of a size that is no multiple of a huge page's, one at most begins at such a multiple.
TEST_F(WeightPagesTest, OtherMappingsAreMadeAsEver) {
  const auto all_aligned = [&](size_t size, int protection) { return IsAligned(Map(size, protection)) && IsAligned(Map(size, protection)); };
  EXPECT_FALSE(all_aligned(kSize, PROT_READ)) << "not asked for";
  const ScopedWeightPages weight_pages;
  EXPECT_FALSE(all_aligned(kHugePageBytes - 1, PROT_READ)) << "small";
  EXPECT_FALSE(all_aligned(kSize, PROT_READ | PROT_WRITE)) << "to be written";
}

#endif

}  // namespace
}  // namespace tflite_serving
