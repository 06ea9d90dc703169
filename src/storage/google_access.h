// Who this is to Google Cloud Storage: Application Default Credentials
// (https://cloud.google.com/docs/authentication/application-default-credentials).
#pragma once

#include <optional>
#include <string>

#include "base/cancellation.h"
#include "base/mutex.h"
#include "base/status.h"
#include "storage/environment.h"
#include "storage/http_clients.h"
#include "storage/text_formats.h"

namespace tflite_serving {

// Thread-safe.
class GoogleAccess {
 public:
  explicit GoogleAccess(Environment environment);

  // An OAuth 2 access token, by the first of these that there is:
  //   the file GOOGLE_APPLICATION_CREDENTIALS, of a service account or of a user (gcloud auth application-default login)
  //   ~/.config/gcloud/application_default_credentials.json
  //   the metadata server of Google's machines, GCE_METADATA_HOST; it is also what Workload Identity on GKE answers by
  // Empty: there is none, and requests go without, which public buckets allow. It is asked for anew before it ends.
  // Errors: UNAUTHENTICATED for a file that is none of these, UNAVAILABLE where who gives tokens does not answer as it should.
  StatusOr<std::string> Token(const Cancellation& stop);

 private:
  using Found = Dated<std::string>;

  StatusOr<Found> Find(const Cancellation& stop);
  StatusOr<Found> ByServiceAccount(const TextMembers& account, const Cancellation& stop);
  StatusOr<Found> AskForToken(const std::string& url, const std::string& body, const Cancellation& stop);
  StatusOr<Found> AskMachine(const Cancellation& stop);

  const Environment environment_;
  HttpClients clients_;
  HttpClients local_clients_;  // to the metadata server: by no proxy
  Mutex mutex_;
  std::optional<Found> found_ TFLS_GUARDED_BY(mutex_);
};

}  // namespace tflite_serving
