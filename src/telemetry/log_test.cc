#include "telemetry/log.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <filesystem>
#include <thread>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/file.h"
#include "base/temporary_directory.h"
#include "telemetry/line_writer.h"

namespace tflite_serving {
namespace {

using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::MatchesRegex;

TEST(LogTest, WritesOneLineWithTimeLevelAndPlace) {
  testing::internal::CaptureStderr();
  TFLS_INFO("model {} at version {}", "digits", 3);
  EXPECT_THAT(testing::internal::GetCapturedStderr(),
              MatchesRegex("[0-9-]+ [0-9:]+\\.[0-9]+: I telemetry/log_test.cc:[0-9]+\\] model digits at version 3\n"));
}

TEST(LogTest, ARequestCannotForgeALine) {
  testing::internal::CaptureStderr();
  TFLS_ERROR("unknown model {}", "a\nE forged\x1b[31m");
  EXPECT_THAT(testing::internal::GetCapturedStderr(), EndsWith("unknown model a\\nE forged\\x1b[31m\n"));
}

TEST(LogTest, DropsWhatIsBelowTheLevel) {
  testing::internal::CaptureStderr();
  TFLS_DEBUG("hidden");
  EXPECT_THAT(testing::internal::GetCapturedStderr(), IsEmpty());
}

TEST(LogTest, AsJson) {
  SetLogFormat(LogFormat::kJson);
  testing::internal::CaptureStderr();
  TFLS_WARNING("model {}", "\"a\"\n\xff");
  SetLogFormat(LogFormat::kText);
  EXPECT_THAT(testing::internal::GetCapturedStderr(),
              MatchesRegex("\\{\"time\":\"[0-9-]+T[0-9:]+\\.[0-9]+Z\",\"level\":\"warning\",\"source\":\"telemetry/log_test.cc:[0-9]+\","
                           "\"message\":\"model \\\\\"a\\\\\"\\\\n\xEF\xBF\xBD\"\\}\n"));
}

// A pipe that nobody reads takes 64 KiB.
TEST(LineWriterTest, WhoWritesDoesNotWaitForWhoeverReads) {
  TemporaryDirectory directory;
  const std::string path = directory.path() + "/pipe";
  ASSERT_EQ(::mkfifo(path.c_str(), 0600), 0);
  const UniqueFd reader(::open(path.c_str(), O_RDONLY | O_NONBLOCK));
  StatusOr<std::unique_ptr<LineWriter>> writer = LineWriter::Open(path, "test");
  ASSERT_TRUE(writer.ok());
  const std::string line = std::string(999, 'x') + '\n';
  const size_t lines = 2 * LineWriter::kMaxWaitingBytes / line.size();
  for (size_t i = 0; i < lines; ++i) (*writer)->Write(line);
  EXPECT_GT((*writer)->dropped(), 0u);
  EXPECT_LT((*writer)->dropped(), lines);
  writer->reset();  // ends, though nobody reads
  std::string head(line.size(), '\0');
  EXPECT_EQ(::read(reader.get(), head.data(), head.size()), static_cast<ssize_t>(head.size()));
  EXPECT_EQ(head, line);
}

TEST(LineWriterTest, AFileIsAddedToAndMayBeMovedAway) {
  TemporaryDirectory directory;
  const std::string path = directory.Write("a.log", "before\n");
  StatusOr<std::unique_ptr<LineWriter>> writer = LineWriter::Open(path, "test");
  ASSERT_TRUE(writer.ok());
  (*writer)->Write("one\n");
  while (ReadFile(path, 100)->size() < sizeof("before\none")) std::this_thread::yield();
  std::filesystem::rename(path, path + ".1");
  (*writer)->Reopen();
  while (*GetFileKind(path) == FileKind::kMissing) std::this_thread::yield();
  (*writer)->Write("two\n");
  writer->reset();
  EXPECT_EQ(*ReadFile(path + ".1", 100), "before\none\n");
  EXPECT_EQ(*ReadFile(path, 100), "two\n");
}

// How often `text` has `part`.
size_t Count(std::string_view text, std::string_view part) {
  size_t count = 0;
  for (size_t at = text.find(part); at != std::string_view::npos; at = text.find(part, at + part.size())) ++count;
  return count;
}

TEST(LineWriterTest, AFullDiskIsToldOnce) {
  testing::internal::CaptureStderr();
  StatusOr<std::unique_ptr<LineWriter>> writer = LineWriter::Open("/dev/full", "test");
  ASSERT_TRUE(writer.ok());
  for (uint64_t lines = 1; lines <= 3; ++lines) {
    (*writer)->Write("one\n");
    while ((*writer)->dropped() < lines) std::this_thread::yield();
  }
  writer->reset();
  const std::string log = testing::internal::GetCapturedStderr();
  EXPECT_THAT(log, HasSubstr("cannot write the log /dev/full: No space left on device; its lines are dropped until it can be written again\n"));
  EXPECT_EQ(std::ranges::count(log, '\n'), 1) << log;
}

// The most that a file of this process may have; as before at the end.
class FileSizeLimit {
 public:
  explicit FileSizeLimit(rlim_t bytes) {
    ::signal(SIGXFSZ, SIG_IGN);  // NOLINT(cert-err33-c)
    ::getrlimit(RLIMIT_FSIZE, &before_);
    const rlimit limit{.rlim_cur = bytes, .rlim_max = before_.rlim_max};
    ::setrlimit(RLIMIT_FSIZE, &limit);
  }
  ~FileSizeLimit() { ::setrlimit(RLIMIT_FSIZE, &before_); }
  FileSizeLimit(const FileSizeLimit&) = delete;
  FileSizeLimit& operator=(const FileSizeLimit&) = delete;

 private:
  rlimit before_{};
};

TEST(LineWriterTest, ALineThatWasCutOffIsEndedFirst) {
  TemporaryDirectory directory;
  const std::string path = directory.Write("a.log", "");
  const std::string line = std::string(999, 'x') + '\n';
  testing::internal::CaptureStderr();
  StatusOr<std::unique_ptr<LineWriter>> writer = LineWriter::Open(path, "test");
  ASSERT_TRUE(writer.ok());
  for (uint64_t times = 1; times <= 2; ++times) {
    {
      const FileSizeLimit limit(times * 2 * line.size() - 10);
      (*writer)->Write(line + line + "dropped\n");
      while ((*writer)->dropped() < times) std::this_thread::yield();
      (*writer)->Reopen();  // which is the same file
    }
    (*writer)->Write("\n");
    while (ReadFile(path, 1 << 20)->size() < times * (2 * line.size() + 1)) std::this_thread::yield();
  }
  writer->reset();
  EXPECT_EQ(*ReadFile(path, 1 << 20), line + line + '\n' + line + line + '\n');
  EXPECT_EQ(Count(testing::internal::GetCapturedStderr(), "cannot write the log"), 2u) << "since it could be written in between";
}

TEST(LineWriterTest, AFileThatCannotBeOpened) {
  EXPECT_THAT(LineWriter::Open("/none/such.log", "test").status().message(), HasSubstr("/none/such.log"));
}

}  // namespace
}  // namespace tflite_serving
