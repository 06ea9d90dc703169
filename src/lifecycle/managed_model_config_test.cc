// What a configuration means for a model: policies, labels, and models that come and go.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "lifecycle/managed_model_fixture.h"

namespace tflite_serving {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

TEST_F(ManagedModelTest, PoliciesChooseAndTheOldVersionsLeaveOnceAChosenOneServes) {
  UsePolicy({.num_versions = 2});
  for (const int version : {1, 2, 3}) Add(version);
  EXPECT_THAT(Look(), ElementsAre("/m/3/model.tflite", "/m/2/model.tflite"));
  Finish(3);
  Finish(2);
  UsePolicy({.kind = VersionPolicy::Kind::kSpecific, .versions = {1, 9}});
  EXPECT_THAT(Look(), ElementsAre("/m/1/model.tflite"));
  EXPECT_THAT(log_, HasSubstr("Version(s) 9 of servable m, which the version policy names, are not under base path /m\n"));
  EXPECT_EQ(States(), "3 AVAILABLE, 2 AVAILABLE, 1 LOADING");
  Finish(1);
  EXPECT_EQ(States(), "3 UNLOADING, 2 UNLOADING, 1 AVAILABLE");
  Unload();
  EXPECT_EQ(States(), "3 END, 2 END, 1 AVAILABLE");
  log_.clear();
  Look();
  EXPECT_EQ(log_, "");
  UsePolicy({.kind = VersionPolicy::Kind::kAll});
  EXPECT_THAT(Look(), ElementsAre("/m/3/model.tflite", "/m/2/model.tflite"));
}

TEST_F(ManagedModelTest, APolicyThatChoosesNothingKeepsWhatServes) {
  Serve(1);
  UsePolicy({.kind = VersionPolicy::Kind::kSpecific, .versions = {7}});
  EXPECT_THAT(Look(), IsEmpty());
  EXPECT_EQ(States(), "1 AVAILABLE");
  EXPECT_THAT(model_.problem().message(), HasSubstr("No version of servable m under base path /m is one that its version policy names"));
}

TEST_F(ManagedModelTest, ResourcesArePreservedByUnloadingFirst) {
  UseRules({.settle_time = milliseconds(0), .resource_preserving = true});
  Serve(1);
  Add(2);
  EXPECT_THAT(Look(), IsEmpty());
  EXPECT_EQ(States(), "2 START, 1 UNLOADING");
  EXPECT_EQ(Serving(), -1);
  EXPECT_TRUE(model_.IsComing(std::nullopt));
  EXPECT_THAT(Look(), IsEmpty());
  EXPECT_THAT(Unload(), ElementsAre("/m/2/model.tflite"));
  Finish(2);
  EXPECT_EQ(States(), "2 AVAILABLE, 1 END");
}

TEST_F(ManagedModelTest, ResourcesArePreservedForAFileThatChanged) {
  UseRules({.settle_time = milliseconds(0), .resource_preserving = true});
  Serve(1);
  Add(1);
  EXPECT_THAT(Look(), IsEmpty());
  EXPECT_EQ(States(), "1 UNLOADING");
  EXPECT_TRUE(model_.IsComing(1));
  EXPECT_FALSE(model_.AtRest());
  EXPECT_THAT(Unload(), ElementsAre("/m/1/model.tflite"));
  Finish(1);
  EXPECT_EQ(States(), "1 AVAILABLE");
}

TEST_F(ManagedModelTest, ARemovedModelLetsGoOfEverything) {
  Serve(1);
  Add(2);
  Look();
  now_ += seconds(1);
  Look();
  model_.Remove(now_);
  Begun();
  EXPECT_EQ(States(), "2 LOADING, 1 UNLOADING");
  EXPECT_FALSE(model_.IsGone());
  Finish(2);
  EXPECT_EQ(StatusOf(2), CancelledError("Loading of servable cancelled"));
  EXPECT_EQ(Serving(), -1);
  Unload();
  EXPECT_EQ(States(), "2 END, 1 END");
  EXPECT_TRUE(model_.IsGone());
  EXPECT_TRUE(model_.AtRest());

  model_.Configure(model_.config());
  EXPECT_THAT(Look(), ElementsAre("/m/2/model.tflite"));
}

TEST_F(ManagedModelTest, AFailedModelThatIsAddedAgainIsTriedAgain) {
  Add(1);
  Look();
  Finish(1, InvalidArgumentError("corrupt"));
  model_.Configure(model_.config());
  EXPECT_THAT(Look(), IsEmpty());
  model_.Remove(now_);
  model_.Configure(model_.config());
  EXPECT_THAT(Look(), ElementsAre("/m/1/model.tflite"));
}

TEST_F(ManagedModelTest, AModelThatIsAddedAgainWhileItsOldVersionLeavesServesOn) {
  Serve(1);
  Add(1);
  Look();
  now_ += seconds(1);
  Look();  // the changed file is loading
  model_.Remove(now_);
  Begun();
  EXPECT_EQ(States(), "1 UNLOADING");
  model_.Configure(model_.config());
  EXPECT_THAT(Look(), IsEmpty());
  Finish(1);
  EXPECT_EQ(States(), "1 AVAILABLE");
  EXPECT_THAT(Unload(), IsEmpty());  // the old one's last request has ended
  EXPECT_EQ(States(), "1 AVAILABLE");
  EXPECT_TRUE(model_.AtRest());
}

TEST_F(ManagedModelTest, AnotherConfigurationIsNoReasonToTakeAFileThatIsBeingWritten) {
  Serve(1);
  Add(2);
  Look();
  model_.Configure(model_.config());
  EXPECT_THAT(Look(), IsEmpty());
  EXPECT_EQ(States(), "2 START, 1 AVAILABLE");
  now_ += seconds(1);
  EXPECT_THAT(Look(), ElementsAre("/m/2/model.tflite"));
}

TEST_F(ManagedModelTest, AVersionWhoseOptionsChangeIsLoadedBesideItself) {
  Serve(1);
  const ServableHandle before = model_.Find(1);
  UseInterpreters(3);
  EXPECT_FALSE(model_.AtRest());
  EXPECT_THAT(Look(), ElementsAre("/m/1/model.tflite"));
  EXPECT_EQ(jobs_[1].options.tflite.num_interpreters, 3);
  EXPECT_EQ(model_.Find(1), before);
  EXPECT_FALSE(model_.AtRest());
  EXPECT_THAT(Finish(1), IsEmpty());
  EXPECT_NE(model_.Find(1), before);
  EXPECT_TRUE(model_.AtRest());
  EXPECT_THAT(log_, HasSubstr("Replaced servable version {name: m version: 1} by /m/1/model.tflite, whose options have changed"));
  EXPECT_THAT(Unload(), IsEmpty());
  EXPECT_THAT(Look(), IsEmpty());
}

TEST_F(ManagedModelTest, OptionsThatChangeWhileAVersionLoadsAreThoseOfTheNextLoad) {
  Add(1);
  Look();
  UseInterpreters(3);
  EXPECT_THAT(Look(), IsEmpty());
  EXPECT_EQ(jobs_[1].options.tflite.num_interpreters, 0);
  EXPECT_THAT(Finish(1), ElementsAre("/m/1/model.tflite"));
  EXPECT_EQ(States(), "1 AVAILABLE");
  EXPECT_EQ(jobs_[1].options.tflite.num_interpreters, 3);
  Finish(1);
  EXPECT_TRUE(model_.AtRest());
}

TEST_F(ManagedModelTest, AFileThatIsTriedAgainHasStillChanged) {
  Serve(1);
  Add(1);
  Look();
  now_ += seconds(1);
  Look();
  Finish(1, UnavailableError("later"));
  now_ += seconds(60);
  model_.Advance(now_);
  EXPECT_THAT(Begun(), ElementsAre("/m/1/model.tflite"));
  Finish(1);
  EXPECT_THAT(log_, HasSubstr("by /m/1/model.tflite, which has changed"));
}

TEST_F(ManagedModelTest, OptionsWithWhichAModelCannotBeLoadedLeaveItAsItWas) {
  Serve(1);
  UseInterpreters(3);
  Look();
  EXPECT_THAT(Finish(1, InvalidArgumentError("no")), IsEmpty());
  EXPECT_EQ(States(), "1 AVAILABLE");
  EXPECT_TRUE(model_.AtRest());
  EXPECT_EQ(model_.failures().size(), 1u);
  UseInterpreters(2);
  EXPECT_THAT(Look(), ElementsAre("/m/1/model.tflite"));
}

TEST_F(ManagedModelTest, OtherOptionsWaitForTheOldVersionToLeaveWhereMemoryIsShort) {
  UseRules({.resource_preserving = true});
  Serve(1);
  UseInterpreters(3);
  EXPECT_THAT(Look(), IsEmpty());
  EXPECT_EQ(States(), "1 UNLOADING");
  EXPECT_THAT(Unload(), ElementsAre("/m/1/model.tflite"));
  EXPECT_EQ(jobs_[1].options.tflite.num_interpreters, 3);
}

TEST_F(ManagedModelTest, ALabelMeansItsOldVersionUntilTheNewOneServes) {
  ModelConfig config = model_.config();
  config.labels = {{"stable", 1}};
  model_.Configure(config);
  Serve(1);
  EXPECT_EQ(model_.VersionOf("stable"), 1);
  EXPECT_EQ(model_.VersionOf("other"), std::nullopt);
  Add(2);
  config.labels = {{"stable", 2}};
  model_.Configure(config);
  Look();
  EXPECT_EQ(model_.VersionOf("stable"), 1);
  Finish(2);
  EXPECT_EQ(model_.VersionOf("stable"), 2);
  config.labels = {{"stable", 3}};  // which is not there
  model_.Configure(config);
  EXPECT_EQ(model_.VersionOf("stable"), 2);
  config.labels = {};
  model_.Configure(config);
  EXPECT_EQ(model_.VersionOf("stable"), std::nullopt);
}

TEST_F(ManagedModelTest, ALabelThatIsDroppedWhileAnotherMovesIsForgotten) {
  UseLabels({1}, {{"canary", 1}, {"stable", 1}});
  Serve(1);
  Add(2);
  UseLabels({2}, {{"stable", 2}});
  Look();
  Finish(2);
  EXPECT_EQ(model_.VersionOf("stable"), 2);
  EXPECT_EQ(States(), "2 AVAILABLE, 1 UNLOADING");
  UseLabels({2}, {{"canary", 7}, {"stable", 2}});
  EXPECT_EQ(model_.VersionOf("canary"), 7);
}

// A label moves from 4 to a 9 that is corrupt, while 3 takes over.
class MovedLabelTest : public ManagedModelTest {
 protected:
  MovedLabelTest() {
    UseLabels({4}, {{"stable", 4}});
    Serve(4);
    Add(3);
    Add(9);
    UseLabels({3, 9}, {{"stable", 9}});
    EXPECT_THAT(Look(), ElementsAre("/m/9/model.tflite", "/m/3/model.tflite"));
    Finish(9, InvalidArgumentError("corrupt"));
    Finish(3);
    EXPECT_EQ(States(), "9 END, 4 AVAILABLE, 3 AVAILABLE");
    EXPECT_EQ(model_.VersionOf("stable"), 4);
    EXPECT_EQ(Serving(), 3);  // without a label it is a wanted one
  }
};

TEST_F(MovedLabelTest, KeepsItsOldVersionUntilItServes) {
  Add(9);
  Look();
  now_ += seconds(1);
  Look();
  EXPECT_EQ(States(), "9 LOADING, 4 AVAILABLE, 3 AVAILABLE");
  log_.clear();
  Finish(9);
  EXPECT_EQ(States(), "9 AVAILABLE, 4 UNLOADING, 3 AVAILABLE");
  EXPECT_EQ(model_.VersionOf("stable"), 9);
  EXPECT_THAT(log_, HasSubstr("Label \"stable\" of servable m means version 9 now, not 4\n"));
}

TEST_F(MovedLabelTest, KeepsItsOldVersionUntilItMovesElsewhere) {
  log_.clear();
  UseLabels({3, 9}, {{"stable", 3}});
  Look();
  EXPECT_EQ(States(), "9 END, 4 UNLOADING, 3 AVAILABLE");
  EXPECT_EQ(model_.VersionOf("stable"), 3);
  EXPECT_THAT(log_, HasSubstr("Label \"stable\" of servable m means version 3 now, not 4\n"));
}

TEST_F(MovedLabelTest, KeepsItsOldVersionUntilItIsRemoved) {
  UseLabels({3, 9}, {});
  Look();
  EXPECT_EQ(States(), "9 END, 4 UNLOADING, 3 AVAILABLE");
}

TEST_F(MovedLabelTest, KeepsItsOldVersionUntilTheModelIsRemoved) {
  model_.Remove(now_);
  Begun();
  EXPECT_EQ(States(), "9 END, 4 UNLOADING, 3 UNLOADING");
  Unload();
  EXPECT_TRUE(model_.IsGone());
}

TEST_F(ManagedModelTest, ALabelsOldVersionMakesRoomWhereMemoryIsShort) {
  UseRules({.resource_preserving = true});
  UseLabels({2}, {{"stable", 2}});
  Serve(2);
  Add(9);
  UseLabels({9}, {{"stable", 9}});
  EXPECT_THAT(Look(), IsEmpty());
  EXPECT_EQ(States(), "9 START, 2 UNLOADING");
  EXPECT_THAT(Unload(), ElementsAre("/m/9/model.tflite"));
}

TEST_F(ManagedModelTest, ALabelForAVersionThatIsNotThereIsSaidOnce) {
  UseLabels({2}, {{"stable", 2}});
  Serve(2);
  EXPECT_THAT(log_, HasSubstr("Label \"stable\" of servable m means version 2 now\n"));
  UseLabels({2, 77}, {{"next", 78}, {"stable", 77}});
  log_.clear();
  Look();
  EXPECT_EQ(log_,
            "Version(s) 77 of servable m, which the version policy names, are not under base path /m\n"
            "Label \"next\" of servable m is for version 78, which is not there; it means nothing yet\n"
            "Label \"stable\" of servable m is for version 77, which is not there; it goes on meaning version 2\n");
  log_.clear();
  Look();
  EXPECT_EQ(log_, "");
}

TEST_F(ManagedModelTest, NothingIsUnloadedForAVersionThatCannotBeLoadedYet) {
  UseRules({.resource_preserving = true});
  Serve(1);
  files_.MakeDirectory("/m/2");
  Look();
  now_ += seconds(1);
  Look();
  EXPECT_EQ(States(), "2 END, 1 AVAILABLE");
  Add(2);
  Look();
  EXPECT_EQ(States(), "2 END, 1 AVAILABLE");
  now_ += seconds(1);
  Look();
  EXPECT_EQ(States(), "2 END, 1 UNLOADING");
  EXPECT_EQ(model_.next_event(), kNoDeadline);  // the unloading's end is the next
  EXPECT_THAT(Unload(), ElementsAre("/m/2/model.tflite"));
}

}  // namespace
}  // namespace tflite_serving
