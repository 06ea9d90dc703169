#include "base/sealed_file.h"

#include <sys/stat.h>
#include <unistd.h>

#include <cstring>
#include <string_view>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/temporary_directory.h"

namespace tflite_serving {
namespace {

using ::testing::HasSubstr;

std::string_view Text(const SealedFile& file) { return {reinterpret_cast<const char*>(file.bytes().data()), file.bytes().size()}; }

TEST(SealedFileTest, KeepsItsBytesWhenTheFileIsTruncatedAndOverwritten) {
  const TemporaryDirectory directory;
  const std::string content(3 << 20, 'm');
  const std::string path = directory.Write("model", content);
  const auto file = SealedFile::Copy(path, 4 << 20);
  ASSERT_TRUE(file.ok()) << file.status().ToString();
  ASSERT_EQ(::truncate(path.c_str(), 0), 0);
  EXPECT_EQ(Text(**file), content);
  directory.Write("model", "other");
  EXPECT_EQ(Text(**file), content);
}

TEST(SealedFileTest, CannotBeWrittenOrResized) {
  const auto file = SealedFile::FromBytes("x", std::as_bytes(std::span("abc", 3)));
  ASSERT_TRUE(file.ok());
  EXPECT_EQ(Text(**file), "abc");
  EXPECT_NE(::ftruncate((*file)->fd(), 0), 0);
  EXPECT_LT(::pwrite((*file)->fd(), "z", 1, 0), 0);
}

TEST(SealedFileTest, RefusesWithTheReason) {
  const TemporaryDirectory directory;
  EXPECT_EQ(SealedFile::Copy(directory.path() + "/none", 10).status().code(), StatusCode::kNotFound);
  EXPECT_THAT(SealedFile::Copy(directory.path(), 10).status().message(), HasSubstr("not a regular file"));
  EXPECT_THAT(SealedFile::Copy(directory.Write("empty", ""), 10).status().message(), HasSubstr("the file is empty"));
  EXPECT_TRUE(SealedFile::Copy(directory.Write("ten", "0123456789"), 10).ok());
  EXPECT_EQ(SealedFile::Copy(directory.Write("eleven", "0123456789a"), 10).status().code(), StatusCode::kResourceExhausted);
  const std::string fifo = directory.path() + "/fifo";
  ASSERT_EQ(::mkfifo(fifo.c_str(), 0600), 0);
  EXPECT_THAT(SealedFile::Copy(fifo, 10).status().message(), HasSubstr("not a regular file"));
}

}  // namespace
}  // namespace tflite_serving
