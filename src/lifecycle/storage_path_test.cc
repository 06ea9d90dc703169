#include "lifecycle/storage_path.h"

#include <sys/stat.h>

#include <filesystem>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/temporary_directory.h"

namespace tflite_serving {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

class StoragePathTest : public ::testing::Test {
 protected:
  const std::string& base() const { return directory_.path(); }
  void Write(const std::string& name) const { directory_.Write(name, "x"); }
  void MakeDirectory(const std::string& name) const { std::filesystem::create_directories(base() + "/" + name); }
  void Link(const std::string& target, const std::string& name) const { std::filesystem::create_symlink(target, base() + "/" + name); }

  // The versions found, as "3 relative/path" or "3 CODE: message", and a failed search as "CODE: message"; the directory's own name becomes P.
  std::vector<std::string> Find(const std::string& base_path) const {
    const StatusOr<std::vector<StorageVersion>> versions = FindVersions(FileSystem::Real(), "m", base_path);
    if (!versions.ok()) return {Shorten(versions.status().ToString())};
    std::vector<std::string> found;
    for (const StorageVersion& version : *versions) {
      EXPECT_EQ(version.path.empty(), !version.status.ok());
      found.push_back(std::to_string(version.version) + " " + Shorten(version.status.ok() ? version.path : version.status.ToString()));
    }
    return found;
  }
  std::vector<std::string> Find() const { return Find(base()); }

 private:
  std::string Shorten(std::string text) const {
    for (size_t at = text.find(base()); at != std::string::npos; at = text.find(base())) text.replace(at, base().size(), 1, 'P');
    return text;
  }

  TemporaryDirectory directory_;
};

TEST_F(StoragePathTest, ADirectoryOfVersionsIsListedLowestFirst) {
  Write("10/model.tflite");
  Write("9/digits.tflite");
  Write("20170111173521/model.tflite");
  EXPECT_THAT(Find(), ElementsAre("9 P/9/digits.tflite", "10 P/10/model.tflite", "20170111173521 P/20170111173521/model.tflite"));
}

TEST_F(StoragePathTest, VersionNamesAreDigitsThatFitInt64) {
  for (const char* name : {"0", "00000123", "9223372036854775807"}) Write(std::string(name) + "/model.tflite");
  for (const char* name : {"9223372036854775808", "-1", "+2", "v1", "0.1", "1e3", " 4", "5 ", "0x6", "7a"})
    Write(std::string(name) + "/model.tflite");
  EXPECT_THAT(Find(), ElementsAre("0 P/0/model.tflite", "123 P/00000123/model.tflite", "9223372036854775807 P/9223372036854775807/model.tflite"));
}

TEST_F(StoragePathTest, OfSeveralNamesForOneNumberTheLastWinsWithAWarning) {
  Write("001/model.tflite");
  Write("01/model.tflite");
  Write("1/model.tflite");
  Write("2/model.tflite");
  EXPECT_THAT(Find(), ElementsAre("1 P/1/model.tflite", "2 P/2/model.tflite"));
  const std::vector<StorageVersion> found = *FindVersions(FileSystem::Real(), "m", base());
  EXPECT_EQ(found[0].warning, "Duplicate version directories detected. Servable m under " + base() + ": 001, 01, 1 are all version 1; 1 is used");
  EXPECT_EQ(found[1].warning, "");
}

TEST_F(StoragePathTest, AVersionHasTheStampOfItsFile) {
  Write("1/model.tflite");
  EXPECT_EQ(FindVersions(FileSystem::Real(), "m", base())->front().stamp, *GetFileStamp(base() + "/1/model.tflite"));
  const std::string file = base() + "/1/model.tflite";
  EXPECT_EQ(FindVersions(FileSystem::Real(), "m", file)->front().stamp, *GetFileStamp(file));
}

TEST_F(StoragePathTest, AFileWithANumericNameIsNoVersionAndHidesNone) {
  Write("3");
  Write("1/model.tflite");
  Write("01x");
  EXPECT_THAT(Find(), ElementsAre("1 P/1/model.tflite"));
  Write("1.d/model.tflite");
  Write("4/model.tflite");
  Write("z");
  Write("5");
  EXPECT_THAT(Find(), ElementsAre("1 P/1/model.tflite", "4 P/4/model.tflite"));
}

TEST_F(StoragePathTest, ModelTfliteIsChosenAmongOthers) {
  Write("1/a.tflite");
  Write("1/model.tflite");
  Write("1/z.tflite");
  EXPECT_THAT(Find(), ElementsAre("1 P/1/model.tflite"));
}

TEST_F(StoragePathTest, HiddenFilesDirectoriesAndOtherSuffixesAreNoModels) {
  Write("1/._model.tflite");
  Write("1/.tflite");
  Write("1/model.tflite.part");
  Write("1/model.TFLITE");
  MakeDirectory("1/model.tflite");
  Write("1/real.tflite");
  EXPECT_THAT(Find(), ElementsAre("1 P/1/real.tflite"));
}

TEST_F(StoragePathTest, AVersionWithoutAModelFailsAlone) {
  MakeDirectory("1");
  Write("2/saved_model.pb");
  Write("2/variables/x");
  Write("3/model.tflite");
  EXPECT_THAT(Find(), ElementsAre("1 NOT_FOUND: Version 1 of servable m has no model: P/1 is empty",
                                  "2 NOT_FOUND: Version 2 of servable m has no model: P/2 holds no .tflite file, only saved_model.pb, variables",
                                  "3 P/3/model.tflite"));
}

TEST_F(StoragePathTest, AVersionWithSeveralModelsNamesAFewOfThem) {
  for (const char* name : {"a", "b", "c", "d", "e", "f", "g"}) Write(std::string("7/") + name + ".tflite");
  EXPECT_THAT(Find(),
              ElementsAre("7 INVALID_ARGUMENT: Version 7 of servable m is ambiguous: P/7 holds 7 .tflite files and none is named model.tflite: "
                          "a.tflite, b.tflite, c.tflite, d.tflite, e.tflite and 2 more; keep one, or name one model.tflite"));
}

TEST_F(StoragePathTest, AMessageListsFiveNamesInFull) {
  for (const char* name : {"a", "b", "c", "d", "e"}) Write(std::string("7/") + name);
  EXPECT_THAT(Find(), ElementsAre("7 NOT_FOUND: Version 7 of servable m has no model: P/7 holds no .tflite file, only a, b, c, d, e"));
}

TEST_F(StoragePathTest, AVersionThatCannotBeReadFailsAlone) {
  Link("1", "1");  // a link to itself
  Link("model.tflite", "2");
  MakeDirectory("3");
  Link("model.tflite", "3/model.tflite");
  Write("4/model.tflite");
  EXPECT_THAT(Find(), ElementsAre("1 UNKNOWN: Version 1 of servable m cannot be read: P/1: Too many levels of symbolic links",
                                  "3 UNKNOWN: Version 3 of servable m cannot be read: P/3/model.tflite: Too many levels of symbolic links",
                                  "4 P/4/model.tflite"));
}

TEST_F(StoragePathTest, LinksAreFollowed) {
  Write("data/7/weights.bin");
  Link("data/7", "3");
  Link("weights.bin", "data/7/model.tflite");
  Link("nowhere", "4");
  EXPECT_THAT(Find(), ElementsAre("3 P/3/model.tflite"));
}

TEST_F(StoragePathTest, ADirectoryWithAModelAndNoVersionsIsVersionOne) {
  Write("digits.tflite");
  Write("labels.txt");
  Write("2");
  EXPECT_THAT(Find(), ElementsAre("1 P/digits.tflite"));
  Write("model.tflite");
  EXPECT_THAT(Find(), ElementsAre("1 P/model.tflite"));
}

TEST_F(StoragePathTest, VersionsWinOverAModelBesideThem) {
  Write("model.tflite");
  MakeDirectory("8");
  EXPECT_THAT(Find(), ElementsAre("8 NOT_FOUND: Version 8 of servable m has no model: P/8 is empty"));
}

TEST_F(StoragePathTest, SeveralModelsAndNoVersionsIsAnError) {
  Write("a.tflite");
  Write("b.tflite");
  EXPECT_THAT(Find(),
              ElementsAre("INVALID_ARGUMENT: Base path P for servable m is ambiguous: P holds 2 .tflite files and none is named model.tflite: "
                          "a.tflite, b.tflite; keep one, or name one model.tflite"));
}

TEST_F(StoragePathTest, AModelFileIsVersionOne) {
  Write("digits.v2.tflite");
  EXPECT_THAT(Find(base() + "/digits.v2.tflite"), ElementsAre("1 P/digits.v2.tflite"));
}

TEST_F(StoragePathTest, AnotherFileIsAnError) {
  Write("saved_model.pb");
  EXPECT_THAT(Find(base() + "/saved_model.pb"),
              ElementsAre("INVALID_ARGUMENT: Base path P/saved_model.pb for servable m is a file whose name does not end in .tflite"));
}

TEST_F(StoragePathTest, AMissingBasePathIsToldInTheOriginalsWords) {
  EXPECT_THAT(Find(base() + "/none"),
              ElementsAre("INVALID_ARGUMENT: Could not find base path P/none for servable m with error NOT_FOUND: P/none not found"));
  EXPECT_THAT(Find("file://" + base() + "/none"),
              ElementsAre("INVALID_ARGUMENT: Could not find base path file://P/none for servable m with error NOT_FOUND: P/none not found"));
}

TEST_F(StoragePathTest, AnUnreadableBasePathSaysWhy) {
  Link("loop", "loop");
  EXPECT_THAT(Find(base() + "/loop"), ElementsAre("INVALID_ARGUMENT: Could not find base path P/loop for servable m with error UNKNOWN: "
                                                  "P/loop: Too many levels of symbolic links"));
  Link("model.tflite", "model.tflite");
  EXPECT_THAT(Find(), ElementsAre("INVALID_ARGUMENT: Could not find base path P for servable m with error UNKNOWN: "
                                  "P/model.tflite: Too many levels of symbolic links"));
}

TEST_F(StoragePathTest, NothingFoundNamesWhatIsThereAndWhatIsAccepted) {
  EXPECT_THAT(Find(),
              ElementsAre("NOT_FOUND: No versions of servable m found under base path P. Did you forget to name your leaf directory as a number "
                          "(eg. '/1/')? A base path may also be a .tflite file or a directory that holds one, but P is empty"));
  Write("v1/model.tflite");
  EXPECT_THAT(Find().front(), HasSubstr("but P holds no .tflite file, only v1"));
}

TEST_F(StoragePathTest, NeitherFileNorDirectoryIsAnError) {
  ASSERT_EQ(::mkfifo((base() + "/pipe").c_str(), 0600), 0);
  EXPECT_THAT(Find(base() + "/pipe"), ElementsAre("INVALID_ARGUMENT: Base path P/pipe for servable m is neither a directory nor a file"));
}

TEST_F(StoragePathTest, TheFileSchemeAndTrailingSlashesAreAccepted) {
  Write("1/model.tflite");
  EXPECT_THAT(Find("file://" + base()), ElementsAre("1 P/1/model.tflite"));
  EXPECT_THAT(Find(base() + "/"), ElementsAre("1 P/1/model.tflite"));
}

TEST_F(StoragePathTest, ARelativePathStartsAtTheWorkingDirectory) {
  Write("1/model.tflite");
  const std::string relative = std::filesystem::relative(base()).string();
  ASSERT_THAT(relative, Not(testing::StartsWith("/")));
  const StatusOr<std::vector<StorageVersion>> found = FindVersions(FileSystem::Real(), "m", relative);
  ASSERT_TRUE(found.ok()) << found.status().ToString();
  ASSERT_EQ(found->size(), 1u);
  EXPECT_EQ(found->front().path, relative + "/1/model.tflite");
}

TEST_F(StoragePathTest, OtherSchemesAreRefused) {
  EXPECT_THAT(Find("hdfs://bucket/m"), ElementsAre("INVALID_ARGUMENT: Base path hdfs://bucket/m for servable m: expected a local path, or a URL of "
                                                   "s3://, gs://, http:// or https://, got hdfs://"));
  EXPECT_THAT(Find("file://models/m"),
              ElementsAre("INVALID_ARGUMENT: Base path file://models/m for servable m: expected an absolute path after file://, got \"models/m\""));
  EXPECT_THAT(Find(""), ElementsAre("INVALID_ARGUMENT: The base path for servable m is empty"));
  MakeDirectory("odd:");
  EXPECT_THAT(Find(base() + "/odd://"), ElementsAre(HasSubstr("P/odd:// is empty")));  // not at the start: no scheme
}

}  // namespace
}  // namespace tflite_serving
