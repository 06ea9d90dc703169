#include "base/file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/clock.h"
#include "base/temporary_directory.h"

namespace tflite_serving {
namespace {

using ::testing::ElementsAre;

TEST(FileTest, TellsFilesDirectoriesAndNothingApart) {
  const TemporaryDirectory directory;
  const std::string file = directory.Write("a/b", "x");
  EXPECT_EQ(*GetFileKind(file), FileKind::kFile);
  EXPECT_EQ(*GetFileKind(directory.path() + "/a"), FileKind::kDirectory);
  EXPECT_EQ(*GetFileKind(directory.path() + "/none"), FileKind::kMissing);
  EXPECT_EQ(*GetFileKind(file + "/below-a-file"), FileKind::kMissing);
}

TEST(FileTest, ReadsUpToTheLimitAndNotOneByteMore) {
  const TemporaryDirectory directory;
  const std::string file = directory.Write("f", "12345");
  EXPECT_EQ(*ReadFile(file, 5), "12345");
  EXPECT_EQ(ReadFile(file, 4).status().code(), StatusCode::kResourceExhausted);
  EXPECT_EQ(ReadFile(directory.path() + "/none", 4).status().ToString(), "NOT_FOUND: " + directory.path() + "/none: No such file or directory");
  EXPECT_FALSE(ReadFile(directory.path(), 4).ok());
}

TEST(FileTest, AStampChangesWithTheContent) {
  const TemporaryDirectory directory;
  const std::string file = directory.Write("f", "one");
  const FileStamp one = *GetFileStamp(file);
  EXPECT_EQ(one.size_bytes, 3);
  EXPECT_EQ(*GetFileStamp(file), one);
  directory.Write("f", "three");
  EXPECT_NE(*GetFileStamp(file), one);
  // The same size and time in another file, as a tool that keeps times leaves it behind a rename.
  const std::string other = directory.Write("g", "two");
  std::filesystem::last_write_time(other, std::filesystem::last_write_time(file));
  std::filesystem::resize_file(file, 3);
  std::filesystem::last_write_time(file, std::filesystem::last_write_time(other));
  EXPECT_NE(*GetFileStamp(file), *GetFileStamp(other));
  EXPECT_EQ(GetFileStamp(directory.path() + "/none").status().code(), StatusCode::kNotFound);
}

TEST(FileTest, AnotherModeIsToldThoughTheContentIsTheSame) {
  const TemporaryDirectory directory;
  const std::string file = directory.Write("f", "one");
  const FileStamp before = *GetFileStamp(file);
  FileStamp after = before;
  const TimePoint deadline = Clock::Steady().Now() + std::chrono::seconds(60);
  while (after.status_changed_ns == before.status_changed_ns && Clock::Steady().Now() < deadline) {  // file systems have coarse clocks
    std::filesystem::permissions(file, std::filesystem::perms::owner_read);
    after = *GetFileStamp(file);
  }
  EXPECT_GT(after.status_changed_ns, before.status_changed_ns);
  EXPECT_EQ(after, before);
}

TEST(FileTest, ListsSortedNames) {
  const TemporaryDirectory directory;
  directory.Write("b", "");
  directory.Write("a/x", "");
  directory.Write(".hidden", "");
  EXPECT_THAT(*ListDirectory(directory.path()), ElementsAre(".hidden", "a", "b"));
  EXPECT_EQ(ListDirectory(directory.path() + "/none").status().code(), StatusCode::kNotFound);
}

}  // namespace
}  // namespace tflite_serving
