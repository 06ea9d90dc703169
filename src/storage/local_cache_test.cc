#include "storage/local_cache.h"

#include <sys/stat.h>

#include <filesystem>
#include <fstream>
#include <future>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/file.h"
#include "base/temporary_directory.h"
#include "storage/digest.h"

namespace tflite_serving {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

std::string Key(char digit) { return std::string(LocalCache::kKeyChars, digit); }

class LocalCacheTest : public ::testing::Test {
 protected:
  LocalCache Cache(uint64_t max_bytes = 1000) const { return LocalCache({.directory = directory(), .max_bytes = max_bytes}); }
  std::string directory() const { return root_.path() + "/a/cache"; }
  // One file, "f", with this content.
  StatusOr<LocalCache::Entry> Open(LocalCache& cache, const std::string& key, const std::string& content) {
    const std::vector<CachedFile> files = {{"f", content.size()}};
    return cache.Open(
        key, files,
        [&](size_t, const std::string& path) {
          ++num_fetches_;
          std::ofstream(path) << content;
          return FileDigests{};
        },
        stop_);
  }

  const TemporaryDirectory root_;
  Cancellation stop_;
  std::atomic<int> num_fetches_ = 0;
};

TEST_F(LocalCacheTest, FetchesOnceAndChecksDigests) {
  LocalCache cache = Cache();
  StatusOr<LocalCache::Entry> entry = Open(cache, Key('a'), "content");
  ASSERT_TRUE(entry.ok()) << entry.status().ToString();
  EXPECT_EQ(*ReadFile(entry->directory + "/f", 100), "content");
  EXPECT_EQ(*ReadFile(entry->directory + ".sha256", 100), Hex(Sha256Of("content")) + "  f\n");
  EXPECT_FALSE(entry->was_there);
  EXPECT_TRUE(Open(cache, Key('a'), "content")->was_there);
  EXPECT_EQ(num_fetches_, 1);
  std::ofstream(entry->directory + "/f") << "c0ntent";
  entry->lease.reset();
  EXPECT_FALSE(Open(cache, Key('a'), "content")->was_there);
  EXPECT_EQ(*ReadFile(entry->directory + "/f", 100), "content");
  EXPECT_EQ(num_fetches_, 2);
}

TEST_F(LocalCacheTest, WhatIsInUseIsNotReplaced) {
  LocalCache cache = Cache();
  const StatusOr<LocalCache::Entry> used = Open(cache, Key('a'), "content");
  std::ofstream(used->directory + "/f") << "c0ntent";
  EXPECT_THAT(Open(cache, Key('a'), "content").status().message(), HasSubstr("and in use"));
  EXPECT_EQ(num_fetches_, 1);
}

TEST_F(LocalCacheTest, OnlyOneOfManyFetches) {
  std::vector<std::future<bool>> done;
  for (int i = 0; i < 8; ++i) {
    done.push_back(std::async(std::launch::async, [this] {
      LocalCache cache = Cache();  // as another process would have
      const StatusOr<LocalCache::Entry> entry = Open(cache, Key('a'), "content");
      return entry.ok() && *ReadFile(entry->directory + "/f", 100) == "content";
    }));
  }
  for (std::future<bool>& one : done) EXPECT_TRUE(one.get());
  EXPECT_EQ(num_fetches_, 1);
}

TEST_F(LocalCacheTest, AFailureLeavesWhatWasFetched) {
  LocalCache cache = Cache();
  const std::vector<CachedFile> files = {{"d/one", 3}, {"two", 3}};
  const auto fetch = [&](size_t index, const std::string& path) -> StatusOr<FileDigests> {
    if (index == 1) return UnavailableError("gone");
    std::ofstream(path) << "one";
    return FileDigests{};
  };
  EXPECT_EQ(cache.Open(Key('a'), files, fetch, stop_).status().message(), "gone");
  EXPECT_EQ(*ReadFile(directory() + "/" + Key('a') + ".partial/d/one", 100), "one");
  EXPECT_EQ(cache.UsedBytes(), 3U);
  EXPECT_FALSE(fs::exists(directory() + "/" + Key('a')));
}

TEST_F(LocalCacheTest, WrongSizesAndDigestsAreNotTaken) {
  LocalCache cache = Cache();
  FileDigests expected;
  const auto fetch = [&](size_t, const std::string& path) -> StatusOr<FileDigests> {
    std::ofstream(path) << "four";
    return expected;
  };
  const auto open = [&](uint64_t size) { return cache.Open(Key('a'), std::vector<CachedFile>{{"f", size}}, fetch, stop_).status(); };
  EXPECT_THAT(open(5).message(), HasSubstr("f has 4 bytes, expected 5"));
  expected.sha256 = Sha256Of("five");
  EXPECT_THAT(open(4).message(), HasSubstr("checksum"));
  expected = {.sha256 = Sha256Of("four"), .md5 = "wrong"};
  EXPECT_THAT(open(4).message(), HasSubstr("checksum"));
  EXPECT_EQ(cache.UsedBytes(), 0U);
  expected.md5.clear();
  EXPECT_TRUE(open(4).ok());
}

TEST_F(LocalCacheTest, TheOldestThatNobodyUsesGoes) {
  LocalCache cache = Cache(100);
  const auto age = [this](char digit, int hours) {
    fs::last_write_time(directory() + "/" + Key(digit) + ".sha256", fs::file_time_type::clock::now() - std::chrono::hours(hours));
    fs::last_write_time(directory() + "/" + Key(digit), fs::file_time_type::clock::now() - std::chrono::hours(hours));
  };
  for (const char digit : {'1', '2', '3'}) ASSERT_TRUE(Open(cache, Key(digit), std::string(30, digit)).ok());
  const StatusOr<LocalCache::Entry> used = Open(cache, Key('1'), std::string(30, '1'));
  age('1', 3);
  age('2', 1);
  age('3', 2);
  std::ofstream(directory() + "/lost+found") << "somebody else's";
  ASSERT_TRUE(Open(cache, Key('4'), std::string(30, '4')).ok());
  EXPECT_TRUE(fs::exists(directory() + "/" + Key('1')));  // it is used
  EXPECT_TRUE(fs::exists(directory() + "/" + Key('2')));
  EXPECT_FALSE(fs::exists(directory() + "/" + Key('3')));
  EXPECT_FALSE(fs::exists(directory() + "/" + Key('3') + ".sha256"));
  const Status status = Open(cache, Key('5'), std::string(71, '5')).status();
  EXPECT_EQ(status.code(), StatusCode::kResourceExhausted);
  EXPECT_THAT(status.message(), HasSubstr("30 bytes of others are in use"));
  EXPECT_TRUE(Open(cache, Key('5'), std::string(70, '5')).ok());
  EXPECT_TRUE(fs::exists(directory() + "/lost+found"));
}

TEST_F(LocalCacheTest, OthersMustNotBeAbleToWrite) {
  fs::create_directories(directory());
  ::chmod(directory().c_str(), 01777);
  LocalCache cache = Cache();
  if (::geteuid() == 0) {  // a volume
    ASSERT_TRUE(Open(cache, Key('a'), "x").ok());
    ::chmod((directory() + "/" + Key('a')).c_str(), 0777);
    EXPECT_FALSE(Open(cache, Key('a'), "x")->was_there);
    fs::create_directory(directory() + "/" + Key('b') + ".partial");
    ::chmod((directory() + "/" + Key('b') + ".partial").c_str(), 0777);
    EXPECT_THAT(Open(cache, Key('b'), "x").status().message(), HasSubstr("is another user's"));
  } else {
    EXPECT_THAT(Open(cache, Key('a'), "x").status().message(), HasSubstr("others may write to it"));
  }
  std::ofstream(root_.path() + "/file") << "";
  LocalCache in_file({.directory = root_.path() + "/file", .max_bytes = 10});
  EXPECT_THAT(Open(in_file, Key('a'), "x").status().message(), HasSubstr("is no directory"));
}

TEST_F(LocalCacheTest, WaitingEndsWhenItIsStopped) {
  LocalCache cache = Cache();
  const std::vector<CachedFile> files = {{"f", 1}};
  const auto fetch = [&](size_t, const std::string&) -> StatusOr<FileDigests> {
    LocalCache other = Cache();
    stop_.Cancel();
    return Open(other, Key('a'), "x").status();  // which this holds
  };
  EXPECT_EQ(cache.Open(Key('a'), files, fetch, stop_).status().code(), StatusCode::kCancelled);
}

}  // namespace
}  // namespace tflite_serving
