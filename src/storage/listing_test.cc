#include "storage/listing.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace tflite_serving {
namespace {

using ::testing::ElementsAre;

const std::string kUrl = "s3://bucket/m/";

TEST(ListingTest, FilesAndDirectories) {
  const Listing listing(
      kUrl, std::vector<RemoteObject>{{"2/model.tflite", 5, "b"}, {"1/assets.extra/x", 1, "a"}, {"1/model.tflite", 5, "a"}, {"1-old", 1, "c"}});
  EXPECT_THAT(*listing.List(kUrl), ElementsAre("1", "1-old", "2"));
  EXPECT_THAT(*listing.List("s3://bucket/m/1"), ElementsAre("assets.extra", "model.tflite"));
  EXPECT_EQ(*listing.Kind("s3://bucket/m"), FileKind::kDirectory);
  EXPECT_EQ(*listing.Kind(kUrl + "1/model.tflite"), FileKind::kFile);
  EXPECT_EQ(*listing.Kind(kUrl + "1/assets.extra/"), FileKind::kDirectory);
  EXPECT_EQ(*listing.Kind(kUrl + "1/mod"), FileKind::kMissing);
  EXPECT_EQ(listing.Stamp(kUrl + "1/model.tflite")->size_bytes, 5);
  EXPECT_NE(*listing.Stamp(kUrl + "1/model.tflite"), *listing.Stamp(kUrl + "2/model.tflite"));
  EXPECT_EQ(listing.Stamp(kUrl + "3").status().code(), StatusCode::kNotFound);
}

TEST(ListingTest, AFileAndNothing) {
  const Listing file("s3://bucket/m.tflite", std::vector<RemoteObject>{{"", 7, "a"}});
  EXPECT_EQ(*file.Kind("s3://bucket/m.tflite"), FileKind::kFile);
  EXPECT_EQ(file.Stamp("s3://bucket/m.tflite")->size_bytes, 7);
  const Listing nothing(kUrl, std::vector<RemoteObject>());
  EXPECT_EQ(*nothing.Kind(kUrl), FileKind::kMissing);
}

TEST(ListingTest, AnErrorAnswersEverything) {
  const Listing listing(kUrl, UnavailableError("no network"));
  EXPECT_EQ(listing.Kind(kUrl).status().message(), "no network");
  EXPECT_FALSE(listing.Stamp(kUrl).ok());
  EXPECT_FALSE(listing.List(kUrl).ok());
}

TEST(ListingTest, StampsOfDirectoriesTellEveryChange) {
  const std::vector<RemoteObject> before = {{"a", 1, "t"}, {"b", 2, "u"}};
  EXPECT_EQ(StampOf(before), StampOf(std::vector<RemoteObject>{before[1], before[0]}));
  for (const RemoteObject& other : {RemoteObject{"c", 2, "u"}, RemoteObject{"b", 3, "u"}, RemoteObject{"b", 2, "v"}}) {
    EXPECT_NE(StampOf(before), StampOf(std::vector<RemoteObject>{before[0], other}));
  }
  EXPECT_NE(StampOf(before), StampOf(std::vector<RemoteObject>{before[0]}));
}

}  // namespace
}  // namespace tflite_serving
