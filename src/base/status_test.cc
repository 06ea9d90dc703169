#include "base/status.h"

#include <cerrno>
#include <memory>

#include <gtest/gtest.h>

namespace tflite_serving {
namespace {

StatusOr<int> Half(int n) {
  if (n % 2 != 0) return InvalidArgumentError("odd");
  return n / 2;
}

StatusOr<int> Quarter(int n) {
  TFLS_ASSIGN_OR_RETURN(const int half, Half(n));
  TFLS_ASSIGN_OR_RETURN(const int quarter, Half(half));
  return quarter;
}

TEST(StatusTest, NamesEveryCanonicalCode) {
  EXPECT_EQ(StatusCodeName(StatusCode::kOk), "OK");
  EXPECT_EQ(StatusCodeName(StatusCode::kFailedPrecondition), "FAILED_PRECONDITION");
  EXPECT_EQ(StatusCodeName(StatusCode::kUnauthenticated), "UNAUTHENTICATED");
  EXPECT_EQ(StatusCodeName(static_cast<StatusCode>(99)), "UNKNOWN");
}

TEST(StatusTest, ToStringHasCodeAndMessage) {
  EXPECT_EQ(OkStatus().ToString(), "OK");
  EXPECT_EQ(NotFoundError("no such thing").ToString(), "NOT_FOUND: no such thing");
}

TEST(StatusTest, ErrnoBecomesTheFittingCode) {
  EXPECT_EQ(ErrnoToStatus(ENOENT, "open /x").ToString(), "NOT_FOUND: open /x: No such file or directory");
  EXPECT_EQ(ErrnoToStatus(EACCES, "x").code(), StatusCode::kPermissionDenied);
  EXPECT_EQ(ErrnoToStatus(ENOSPC, "x").code(), StatusCode::kResourceExhausted);
}

TEST(StatusOrTest, CarriesAValueOrTheFirstError) {
  ASSERT_TRUE(Quarter(8).ok());
  EXPECT_EQ(*Quarter(8), 2);
  EXPECT_EQ(Quarter(6).status(), InvalidArgumentError("odd"));
}

TEST(StatusOrTest, MovesOnlyMovableValues) {
  StatusOr<std::unique_ptr<int>> result(std::make_unique<int>(7));
  const std::unique_ptr<int> value = *std::move(result);
  EXPECT_EQ(*value, 7);
}

TEST(StatusOrTest, AnOkStatusIsNoValue) { EXPECT_EQ(StatusOr<int>(OkStatus()).status().code(), StatusCode::kInternal); }

}  // namespace
}  // namespace tflite_serving
