#include "lifecycle/managed_model.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "lifecycle/managed_model_fixture.h"

namespace tflite_serving {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

TEST_F(ManagedModelTest, LoadsTheHighestOfWhatIsThereAtFirstAtOnce) {
  Add(1);
  Add(3);
  EXPECT_FALSE(model_.AtRest());
  EXPECT_THAT(Look(), ElementsAre("/m/3/model.tflite"));
  EXPECT_EQ(States(), "3 LOADING");
  EXPECT_TRUE(model_.IsComing(std::nullopt));
  EXPECT_TRUE(model_.IsComing(3));
  EXPECT_FALSE(model_.IsComing(1));
  EXPECT_THAT(Look(), IsEmpty());
  EXPECT_FALSE(model_.AtRest());
  EXPECT_THAT(Finish(3), IsEmpty());
  EXPECT_EQ(States(), "3 AVAILABLE");
  EXPECT_TRUE(model_.AtRest());
  EXPECT_FALSE(model_.IsComing(std::nullopt));
  EXPECT_EQ(Serving(), 3);
  EXPECT_EQ(model_.Find(1), nullptr);
  EXPECT_THAT(log_, HasSubstr("Successfully loaded servable version {name: m version: 3}\n"));
  EXPECT_EQ(model_.next_event(), kNoDeadline);
}

TEST_F(ManagedModelTest, ANewVersionTakesOverInOneStepAndTheOldOneLeaves) {
  Serve(1);
  Add(2);
  EXPECT_THAT(Look(), IsEmpty());  // it may still be being written
  EXPECT_EQ(States(), "2 START, 1 AVAILABLE");
  EXPECT_EQ(model_.next_event(), now_ + LifecycleRules().settle_time);
  now_ += milliseconds(1000);
  EXPECT_THAT(Look(), ElementsAre("/m/2/model.tflite"));
  EXPECT_EQ(States(), "2 LOADING, 1 AVAILABLE");
  EXPECT_EQ(Serving(), 1);
  Finish(2);
  EXPECT_EQ(States(), "2 AVAILABLE, 1 UNLOADING");
  EXPECT_EQ(Serving(), 2);
  EXPECT_EQ(model_.Find(1), nullptr);
  ASSERT_EQ(dropped_.size(), 1u);
  EXPECT_EQ(dropped_[0]->id().version, 1);
  Unload();
  EXPECT_EQ(States(), "2 AVAILABLE, 1 END");
  EXPECT_TRUE(StatusOf(1).ok());
}

TEST_F(ManagedModelTest, AFileThatIsStillBeingWrittenIsWaitedFor) {
  Serve(1);
  for (int i = 0; i < 5; ++i) {
    Add(2);  // again: another size and time
    EXPECT_THAT(Look(), IsEmpty());
    now_ += milliseconds(999);
    EXPECT_THAT(Look(), IsEmpty());
  }
  now_ += milliseconds(1);
  EXPECT_THAT(Look(), ElementsAre("/m/2/model.tflite"));
}

TEST_F(ManagedModelTest, AFailedVersionLeavesTheOldOneServingUntilItsFileChanges) {
  Serve(1);
  Add(2);
  Look();
  now_ += seconds(1);
  Look();
  EXPECT_THAT(Finish(2, InvalidArgumentError("corrupt")), IsEmpty());
  EXPECT_EQ(States(), "2 END, 1 AVAILABLE");
  EXPECT_EQ(StatusOf(2), InvalidArgumentError("corrupt"));
  EXPECT_EQ(Serving(), 1);
  EXPECT_TRUE(model_.AtRest());
  ASSERT_EQ(model_.failures().size(), 1u);
  EXPECT_EQ(model_.failures()[0].version, 2);
  EXPECT_THAT(log_, HasSubstr("Loading servable: {name: m version: 2} failed: INVALID_ARGUMENT: corrupt\n"));

  now_ += std::chrono::hours(1);
  EXPECT_THAT(Look(), IsEmpty());  // a verdict is final
  Add(2);
  Look();
  now_ += seconds(1);
  EXPECT_THAT(Look(), ElementsAre("/m/2/model.tflite"));
  Finish(2);
  EXPECT_EQ(States(), "2 AVAILABLE, 1 UNLOADING");
}

TEST_F(ManagedModelTest, AChangedFileReplacesItsVersionUnderTheSameNumber) {
  Serve(1);
  const ServableHandle old = model_.Find(1);
  Add(1);
  EXPECT_THAT(Look(), IsEmpty());
  now_ += seconds(1);
  EXPECT_THAT(Look(), ElementsAre("/m/1/model.tflite"));
  EXPECT_EQ(States(), "1 AVAILABLE");
  EXPECT_EQ(model_.Find(1), old);
  EXPECT_FALSE(model_.AtRest());
  Finish(1);
  EXPECT_EQ(States(), "1 AVAILABLE");
  EXPECT_NE(model_.Find(1), old);
  EXPECT_THAT(dropped_, ElementsAre(old));
  Unload();  // of the old one, which is not what serves now
  EXPECT_EQ(States(), "1 AVAILABLE");
}

TEST_F(ManagedModelTest, AChangedFileThatFailsChangesNothing) {
  Serve(1);
  const ServableHandle old = model_.Find(1);
  Add(1);
  Look();
  now_ += seconds(1);
  Look();
  Finish(1, InvalidArgumentError("corrupt"));
  EXPECT_EQ(States(), "1 AVAILABLE");
  EXPECT_EQ(model_.Find(1), old);
  EXPECT_TRUE(model_.AtRest());
  EXPECT_THAT(log_, HasSubstr("failed: INVALID_ARGUMENT: corrupt; the version goes on with the file it had\n"));
  ASSERT_EQ(model_.failures().size(), 1u);
  EXPECT_EQ(model_.failures()[0].status, InvalidArgumentError("corrupt"));
  EXPECT_EQ(StatusOf(1), InvalidArgumentError("its replacement could not be loaded, and it serves on as it was: corrupt"));
  Add(1);
  Look();
  now_ += seconds(1);
  Look();
  Finish(1);
  EXPECT_THAT(model_.failures(), IsEmpty());
  EXPECT_EQ(StatusOf(1), OkStatus());
}

TEST_F(ManagedModelTest, AFileThatIsPutBackIsNoFailure) {
  Serve(1);
  const FileStamp as_it_was = *files_.Stamp(File(1));
  Add(1);
  Look();
  now_ += seconds(1);
  Look();
  Finish(1, InvalidArgumentError("corrupt"));
  files_.Write(File(1), as_it_was);
  Look();
  now_ += seconds(1);
  Look();
  Finish(1);
  EXPECT_EQ(StatusOf(1), OkStatus());
}

TEST_F(ManagedModelTest, AnotherModeIsANewTryOfWhatFailedAlone) {
  const auto change_mode = [&] {
    FileStamp stamp = *files_.Stamp(File(1));
    ++stamp.status_changed_ns;
    files_.Write(File(1), stamp);
  };
  UseRules({.max_load_retries = 0});
  Add(1);
  Look();
  Finish(1, ErrnoToStatus(EACCES, "/m/1/model.tflite"));
  EXPECT_THAT(Look(), IsEmpty());
  change_mode();
  EXPECT_THAT(Look(), ElementsAre("/m/1/model.tflite"));
  Finish(1);
  change_mode();
  EXPECT_THAT(Look(), IsEmpty());
  EXPECT_TRUE(model_.AtRest());

  Add(1);  // and of a replacement that failed
  Look();
  now_ += seconds(1);
  Look();
  Finish(1, ErrnoToStatus(EACCES, "/m/1/model.tflite"));
  change_mode();
  EXPECT_THAT(Look(), ElementsAre("/m/1/model.tflite"));
  Finish(1);
  EXPECT_THAT(log_, HasSubstr("by /m/1/model.tflite, which has changed\n"));
}

TEST_F(ManagedModelTest, OtherFailuresAreTriedAgainAsOftenAsTheRulesSay) {
  UseRules({.max_load_retries = 2, .load_retry_interval = seconds(10)});
  Add(1);
  Look();
  for (int retry = 1; retry <= 2; ++retry) {
    EXPECT_THAT(Finish(1, ResourceExhaustedError("no memory")), IsEmpty());
    EXPECT_EQ(States(), "1 LOADING");
    EXPECT_EQ(StatusOf(1), ResourceExhaustedError("no memory"));
    EXPECT_FALSE(model_.AtRest());
    EXPECT_EQ(model_.next_event(), now_ + seconds(10));
    now_ += seconds(9);
    EXPECT_THAT(Look(), IsEmpty());
    now_ += seconds(1);
    model_.Advance(now_);
    EXPECT_THAT(Begun(), ElementsAre("/m/1/model.tflite"));
    EXPECT_THAT(log_, HasSubstr(fmt::format("Retrying of Loading servable: {{name: m version: 1}} retry: {} of 2, in 10 s\n", retry)));
  }
  Finish(1, ResourceExhaustedError("no memory"));
  EXPECT_EQ(States(), "1 END");
  EXPECT_EQ(StatusOf(1), ResourceExhaustedError("no memory"));
  EXPECT_THAT(log_, HasSubstr("Loading servable: {name: m version: 1} exhausted max_num_retries: 2\n"));
  now_ += std::chrono::hours(1);
  EXPECT_THAT(Look(), IsEmpty());

  Add(1);  // and all of them again for another file
  Look();
  now_ += seconds(1);
  EXPECT_THAT(Look(), ElementsAre("/m/1/model.tflite"));
  Finish(1, UnavailableError("killed"));
  EXPECT_EQ(States(), "1 LOADING");
}

TEST_F(ManagedModelTest, WithoutRetriesTheFirstFailureIsTheEnd) {
  UseRules({.max_load_retries = 0});
  Add(1);
  Look();
  Finish(1, UnavailableError("killed"));
  EXPECT_EQ(States(), "1 END");
}

TEST_F(ManagedModelTest, AnEmptiedOrVanishedDirectoryKeepsWhatServesAndSaysSoOnce) {
  Serve(3);
  files_.MakeDirectory("/m");
  Remove(3);
  EXPECT_THAT(Look(), IsEmpty());
  EXPECT_THAT(log_, HasSubstr("; version(s) 3 of it serve on\n"));
  EXPECT_EQ(model_.problem().code(), StatusCode::kNotFound);
  files_.Remove("/m");
  Look();
  EXPECT_EQ(model_.problem().code(), StatusCode::kInvalidArgument);
  EXPECT_THAT(log_, HasSubstr("Could not find base path /m for servable m"));
  log_.clear();
  Look();
  EXPECT_EQ(log_, "");
  EXPECT_EQ(States(), "3 AVAILABLE");
  EXPECT_EQ(StatusOf(3),
            InvalidArgumentError("it serves on as it was: Could not find base path /m for servable m with error NOT_FOUND: /m not found"));
  EXPECT_TRUE(model_.AtRest());

  Add(4);
  Look();
  EXPECT_TRUE(model_.problem().ok());
  EXPECT_EQ(StatusOf(3), OkStatus());
  now_ += seconds(1);
  EXPECT_THAT(Look(), ElementsAre("/m/4/model.tflite"));
  Finish(4);
  EXPECT_EQ(States(), "4 AVAILABLE, 3 UNLOADING");
}

TEST_F(ManagedModelTest, WhatVanishedWhileItWasBeingWrittenIsNoReasonToHurry) {
  Serve(1);
  Add(2);
  Look();
  files_.Remove("/m");
  now_ += seconds(5);
  Look();
  EXPECT_GT(model_.next_event(), now_);  // the poll thread would spin otherwise
}

TEST_F(ManagedModelTest, AMissingBasePathIsRestAndAWarning) {
  Look();
  EXPECT_TRUE(model_.AtRest());
  EXPECT_EQ(States(), "");
  EXPECT_THAT(log_, HasSubstr("Could not find base path /m for servable m with error NOT_FOUND: /m not found\n"));
}

TEST_F(ManagedModelTest, AVersionWithoutAModelEndsWithTheReasonUntilItHasOne) {
  files_.MakeDirectory("/m/1");
  EXPECT_THAT(Look(), IsEmpty());
  EXPECT_EQ(States(), "1 END");
  EXPECT_THAT(StatusOf(1).message(), HasSubstr("/m/1 is empty"));
  Add(1);
  Look();
  now_ += seconds(1);
  EXPECT_THAT(Look(), ElementsAre("/m/1/model.tflite"));
}

TEST_F(ManagedModelTest, AModelTakenOutOfAServingVersionIsSaidAndServesOn) {
  Serve(1);
  files_.MakeDirectory("/m/1");
  files_.Remove(File(1));
  files_.MakeDirectory("/m/1");
  Look();
  now_ += seconds(1);
  Look();
  EXPECT_EQ(States(), "1 AVAILABLE");
  EXPECT_THAT(log_, HasSubstr("has no model: /m/1 is empty; the version goes on with the file it had\n"));
  EXPECT_THAT(StatusOf(1).message(), HasSubstr("it serves on as it was: Version 1 of servable m has no model: /m/1 is empty"));
}

TEST_F(ManagedModelTest, ErrorsOfTheDiskAreReasonsOfTheirVersionAlone) {
  UseRules({.max_load_retries = 0, .load_retry_interval = seconds(10)});
  Add(1);
  Add(2);
  UsePolicy({.kind = VersionPolicy::Kind::kAll});
  files_.Break("/m/2", ErrnoToStatus(EACCES, "/m/2"));
  EXPECT_THAT(Look(), ElementsAre("/m/1/model.tflite"));
  EXPECT_EQ(States(), "2 END, 1 LOADING");
  EXPECT_THAT(StatusOf(2).ToString(), AllOf(HasSubstr("PERMISSION_DENIED"), HasSubstr("Permission denied")));
  Finish(1);
  const Status disk_full = ErrnoToStatus(ENOSPC, "/m/2");
  files_.Break("/m/2", disk_full);
  Look();
  now_ += seconds(1);
  Look();
  EXPECT_EQ(States(), "2 END, 1 AVAILABLE");
  EXPECT_THAT(StatusOf(2).ToString(), AllOf(HasSubstr("RESOURCE_EXHAUSTED"), HasSubstr("No space left on device")));
  files_.Break("/m/2", OkStatus());
  Look();
  now_ += seconds(1);
  EXPECT_THAT(Look(), ElementsAre("/m/2/model.tflite"));
  Finish(2, disk_full);  // while it was loaded
  EXPECT_EQ(States(), "2 END, 1 AVAILABLE");
  EXPECT_EQ(StatusOf(2), disk_full);
}

TEST_F(ManagedModelTest, AVersionThatIsWantedAgainWhileItLeavesIsLoadedWhenItIsGone) {
  Serve(1);
  Add(2);
  Look();
  now_ += seconds(1);
  Look();
  Finish(2);
  EXPECT_EQ(States(), "2 AVAILABLE, 1 UNLOADING");
  Remove(2);
  EXPECT_THAT(Look(), IsEmpty());
  EXPECT_EQ(States(), "2 AVAILABLE, 1 UNLOADING");
  EXPECT_THAT(Unload(), ElementsAre("/m/1/model.tflite"));
  Finish(1);
  EXPECT_EQ(States(), "2 UNLOADING, 1 AVAILABLE");
}

TEST_F(ManagedModelTest, AVersionThatIsNoLongerWantedIsNotTriedAgain) {
  Add(1);
  Look();
  Finish(1, UnavailableError("killed"));
  Add(2);
  Look();
  EXPECT_EQ(States(), "2 START, 1 END");
  EXPECT_TRUE(StatusOf(1).ok());
  now_ += std::chrono::hours(1);
  EXPECT_THAT(Look(), ElementsAre("/m/2/model.tflite"));
  Remove(2);
  EXPECT_THAT(Look(), ElementsAre("/m/1/model.tflite"));  // wanted again, and that is another matter
}

TEST_F(ManagedModelTest, AFailedVersionThatIsTakenAwayAndPutBackIsTriedAgain) {
  Serve(1);
  Add(2);
  const FileStamp as_it_was = *files_.Stamp(File(2));
  Look();
  now_ += seconds(1);
  Look();
  Finish(2, InvalidArgumentError("corrupt"));
  Remove(2);
  Look();
  files_.Write(File(2), as_it_was);
  EXPECT_THAT(Look(), ElementsAre("/m/2/model.tflite"));
  EXPECT_THAT(model_.failures(), IsEmpty());
}

TEST_F(ManagedModelTest, EndedVersionsAreForgottenWhenTheyAreMany) {
  UseRules({.settle_time = milliseconds(0)});
  constexpr auto kVersions = static_cast<int64_t>(ManagedModel::kMaxEndedVersions) + 5;
  for (int64_t version = 1; version <= kVersions; ++version) {
    Serve(version);
    Unload();
  }
  const std::vector<ManagedModel::LoadedVersion> versions = model_.versions();
  ASSERT_EQ(versions.size(), ManagedModel::kMaxEndedVersions + 1);
  EXPECT_EQ(versions.front().version, kVersions);
  EXPECT_EQ(versions.front().state, VersionState::kAvailable);
}

TEST_F(ManagedModelTest, StateChangesAreTold) {
  Add(1);
  model_.Observe(FindVersions(files_, "m", "/m"), now_);
  Consequences consequences = model_.TakeConsequences();
  EXPECT_TRUE(consequences.states_changed);
  model_.Observe(FindVersions(files_, "m", "/m"), now_);
  EXPECT_FALSE(model_.TakeConsequences().states_changed);
  model_.Loaded(consequences.loads[0], InvalidArgumentError("corrupt"), now_);
  EXPECT_TRUE(model_.TakeConsequences().states_changed);
}

TEST(IsVerdictTest, OnlyWhatTheFileSaysIsFinal) {
  for (const StatusCode code : {StatusCode::kInvalidArgument, StatusCode::kUnimplemented, StatusCode::kDataLoss, StatusCode::kInternal}) {
    EXPECT_TRUE(IsVerdict(code));
  }
  for (const StatusCode code : {StatusCode::kUnavailable, StatusCode::kResourceExhausted, StatusCode::kAborted, StatusCode::kNotFound,
                                StatusCode::kPermissionDenied, StatusCode::kUnknown, StatusCode::kDeadlineExceeded}) {
    EXPECT_FALSE(IsVerdict(code));
  }
}

}  // namespace
}  // namespace tflite_serving
