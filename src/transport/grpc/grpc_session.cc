#include "transport/grpc/grpc_session.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <utility>

#include "transport/grpc/grpc_loop.h"
#include "transport/grpc/grpc_response.h"
#include "transport/grpc/grpc_session_callbacks.h"
#include "transport/grpc/grpc_stream.h"

namespace tflite_serving {
namespace {

constexpr uint8_t kKeepalivePing[8] = {'a', 'l', 'i', 'v', 'e', '?'};
constexpr uint8_t kDrainPing[8] = {'d', 'r', 'a', 'i', 'n'};
// For streaming calls, which would last for ever.
constexpr std::string_view kGoAway = "the server is closing the connection";
// A time limit that no TimePoint can hold is none.
constexpr std::chrono::hours kLongestTimeout{24 * 365 * 100};

}  // namespace

GrpcSession::GrpcSession(GrpcLoop& loop, std::function<void()> flush, TimePoint now)
    : loop_(loop),
      limits_(loop.limits()),
      flush_(std::move(flush)),
      now_(now),
      started_(now),
      last_heard_(now),
      last_call_(now),
      idle_frames_refilled_(now) {
  http2_ = MakeHttp2Session(*this);
  const std::array<nghttp2_settings_entry, 5> settings = {{
      {NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, limits_.max_concurrent_streams},
      {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, static_cast<uint32_t>(kStreamWindowBytes)},
      {NGHTTP2_SETTINGS_MAX_FRAME_SIZE, kMaxFrameBytes},
      {NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, limits_.max_metadata_bytes},
      {NGHTTP2_SETTINGS_NO_RFC7540_PRIORITIES, 1},
  }};
  failed_ = http2_ == nullptr || nghttp2_submit_settings(http2_, NGHTTP2_FLAG_NONE, settings.data(), settings.size()) != 0 ||
            nghttp2_session_set_local_window_size(http2_, NGHTTP2_FLAG_NONE, 0, kConnectionWindowBytes) != 0;
}

GrpcSession::~GrpcSession() {
  Abandon();
  nghttp2_session_del(http2_);  // calls nothing back
}

void GrpcSession::Abandon() {
  output_.Clear();
  for (GrpcExchange* const exchange : std::exchange(open_, {})) {
    exchange->cancelled.Cancel();
    exchange->stream.reset();
    exchange->session = nullptr;
    if (!exchange->held) loop_.GiveBack(exchange);
  }
}

// --- Bytes in and out ---

bool GrpcSession::Receive(std::string_view bytes, TimePoint now) {
  now_ = last_heard_ = now;
  if (failed_) return false;
  if (ended_) return true;
  data_end_ = nullptr;
  const ssize_t taken = nghttp2_session_mem_recv(http2_, reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size());
  if (frame_.frame_left == 0 && data_end_ != bytes.data() + bytes.size()) frame_ = {};  // part of the next frame's head may have come
  // Answers to calls that were reset meanwhile stay queued until the socket takes more.
  if (nghttp2_session_get_outbound_queue_size(http2_) > kMaxQueuedFrames + 4 * size_t{limits_.max_concurrent_streams}) return false;
  return taken == static_cast<ssize_t>(bytes.size()) && !failed_;
}

GrpcLanding GrpcSession::landing() const {
  GrpcExchange* const exchange =
      frame_.stream_id == 0 ? nullptr : static_cast<GrpcExchange*>(nghttp2_session_get_stream_user_data(http2_, frame_.stream_id));
  if (exchange == nullptr || exchange->stream != nullptr || exchange->reader.missing() < GrpcInput::kMinFrameBytes) return {};
  GrpcLanding landing = frame_;
  landing.missing = exchange->reader.missing();
  landing.room = exchange->reader.room();
  return landing;
}

bool GrpcSession::FillOutput() {
  while (!failed_ && output_.size() < kMaxQueuedOutputBytes) {
    const uint8_t* frames = nullptr;
    const ssize_t size = nghttp2_session_mem_send(http2_, &frames);
    if (size == 0) break;
    failed_ = size < 0 || !output_.Append({reinterpret_cast<const char*>(frames), static_cast<size_t>(size)});
  }
  return !failed_;
}

void GrpcSession::ConsumeOutput(size_t size) {
  output_.Consume(size, [this](GrpcExchange& exchange) { ReleaseIfOver(exchange); });
}

bool GrpcSession::done() const { return nghttp2_session_want_read(http2_) == 0 && nghttp2_session_want_write(http2_) == 0; }

// --- What nghttp2 tells ---

int GrpcSession::OnBeginFrame(const nghttp2_frame_hd& head) {
  switch (head.type) {
    case NGHTTP2_DATA:
      frame_ = {};
      if ((head.flags & NGHTTP2_FLAG_PADDED) == 0) frame_ = {.frame_bytes = head.length, .frame_left = head.length, .stream_id = head.stream_id};
      if (head.length == 0 && (head.flags & NGHTTP2_FLAG_END_STREAM) == 0) CountIdleFrame();
      break;
    case NGHTTP2_RST_STREAM:
    case NGHTTP2_PING:
    case NGHTTP2_SETTINGS:
    case NGHTTP2_PRIORITY:
    case NGHTTP2_CONTINUATION:
      CountIdleFrame();
      break;
    default:
      break;
  }
  return 0;
}

int GrpcSession::OnBeginRequest(int32_t stream_id) {
  if (open_.size() >= limits_.max_concurrent_streams) {
    if (!CountIdleFrame()) Reset(stream_id, NGHTTP2_REFUSED_STREAM);
    return 0;
  }
  GrpcExchange* const exchange = loop_.TakeExchange();
  exchange->session = this;
  exchange->stream_id = stream_id;
  exchange->progress = now_;
  exchange->index = open_.size();
  open_.push_back(exchange);
  // Replies take turns; by nghttp2's default each would wait for the end of the one before.
  const nghttp2_extpri incremental{.urgency = NGHTTP2_EXTPRI_DEFAULT_URGENCY, .inc = 1};
  Expect(nghttp2_session_change_extpri_stream_priority(http2_, stream_id, &incremental, /*ignore_client_signal=*/1));
  return nghttp2_session_set_stream_user_data(http2_, stream_id, exchange);
}

int GrpcSession::OnHeader(GrpcExchange& exchange, std::string_view name, std::string_view value) {
  exchange.head.Add(name, value, limits_.max_metadata_bytes);
  if (exchange.head.size_bytes() <= kMetadataExcess * limits_.max_metadata_bytes) return 0;
  EndConnection(NGHTTP2_ENHANCE_YOUR_CALM);
  return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;  // the rest of them unseen
}

int GrpcSession::OnFrame(const nghttp2_frame& frame) {
  if (frame.hd.type != NGHTTP2_HEADERS && frame.hd.type != NGHTTP2_DATA) {
    OnControlFrame(frame);
    return 0;
  }
  const auto exchange = [&] { return static_cast<GrpcExchange*>(nghttp2_session_get_stream_user_data(http2_, frame.hd.stream_id)); };
  if (frame.hd.type == NGHTTP2_HEADERS && frame.headers.cat == NGHTTP2_HCAT_REQUEST && exchange() != nullptr) OnRequestHead(*exchange());
  if ((frame.hd.flags & NGHTTP2_FLAG_END_STREAM) != 0 && exchange() != nullptr) OnRequestEnd(*exchange());
  return 0;
}

void GrpcSession::OnControlFrame(const nghttp2_frame& frame) {
  const bool ack = (frame.hd.flags & NGHTTP2_FLAG_ACK) != 0;
  switch (frame.hd.type) {
    case NGHTTP2_SETTINGS:
      greeted_ = true;
      break;
    case NGHTTP2_PING:
      if (!ack) break;
      ping_pending_ = false;
      if (draining_ && std::memcmp(frame.ping.opaque_data, kDrainPing, sizeof(kDrainPing)) == 0) FinishDrain();
      break;
    case NGHTTP2_GOAWAY:
      if (frame.goaway.error_code == NGHTTP2_NO_ERROR) break;
      for (GrpcExchange* const exchange : open_) exchange->cancelled.Cancel();
      break;
    default:
      break;
  }
}

void GrpcSession::OnRequestHead(GrpcExchange& exchange) {
  const GrpcRefusal refusal = exchange.head.Check(limits_.max_metadata_bytes);
  if (refusal.http_status != 200) return RefuseHttp(exchange, refusal.http_status);
  if (refusal) return Refuse(exchange, refusal.status);
  exchange.method = loop_.methods().Find(exchange.head.path());
  if (exchange.method == nullptr) return Refuse(exchange, loop_.methods().Unknown(exchange.head.path()));
  if (const auto timeout = exchange.head.timeout(); timeout && *timeout < kLongestTimeout) {
    exchange.deadline_time = now_ + *timeout;
    loop_.WakeBy(exchange.deadline_time);
  }
  const bool is_stream = exchange.method->open != nullptr;
  exchange.reader.Begin(exchange.head.encoding(), std::min(limits_.max_receive_message_bytes, is_stream ? kMaxStreamMessageBytes : SIZE_MAX),
                        aligned_byte_);
  if (is_stream) OpenStream(exchange);
}

int GrpcSession::OnData(GrpcExchange& exchange, std::string_view bytes) {
  exchange.progress = now_;
  missing_bytes_ = 0;
  frame_.frame_left -= std::min(bytes.size(), frame_.frame_left);
  data_end_ = bytes.data() + bytes.size();
  if (exchange.stream != nullptr && exchange.stream->finished()) return 0;
  while (!bytes.empty()) {
    Status status;
    if (exchange.reader.complete()) {
      status = UnimplementedError("the method takes one request message, and more came");
    } else {
      status = exchange.reader.Read(bytes);
    }
    if (!status.ok()) {
      if (exchange.stream != nullptr) {
        exchange.stream->Finish(status);
      } else {
        Refuse(exchange, status);
      }
      return 0;
    }
    if (exchange.stream != nullptr && exchange.reader.complete()) {
      exchange.stream->OnMessage(exchange.reader.message());
      exchange.reader.Next();
    }
  }
  missing_bytes_ = exchange.reader.missing();
  return 0;
}

void GrpcSession::OnRequestEnd(GrpcExchange& exchange) {
  if (exchange.stream == nullptr && exchange.reader.complete()) return RunHandler(exchange);
  if (exchange.stream != nullptr && !exchange.reader.begun()) return exchange.stream->OnEnd();
  const Status status = exchange.reader.begun() ? InternalError("the request ended in the middle of a message")
                                                : UnimplementedError("the method takes one request message, and none came");
  if (exchange.stream != nullptr) return exchange.stream->Finish(status);
  Refuse(exchange, status);
}

void GrpcSession::OnStreamClose(GrpcExchange& exchange) {
  missing_bytes_ = 0;
  exchange.stream_id = -1;
  if (exchange.held) exchange.cancelled.Cancel();
  exchange.stream.reset();
  ReleaseIfOver(exchange);
}

void GrpcSession::OnFrameSent(const nghttp2_frame& frame) {
  const bool last = (frame.hd.type == NGHTTP2_HEADERS || frame.hd.type == NGHTTP2_DATA) && (frame.hd.flags & NGHTTP2_FLAG_END_STREAM) != 0;
  // The client need not send the rest of a request that has been answered.
  if (last && nghttp2_session_get_stream_remote_close(http2_, frame.hd.stream_id) == 0) Reset(frame.hd.stream_id, NGHTTP2_NO_ERROR);
}

// --- Calls ---

void GrpcSession::OpenStream(GrpcExchange& exchange) {
  exchange.stream = std::make_unique<GrpcStream>(*this, exchange, loop_.shared_io());
  exchange.answered = true;
  Expect(SubmitResponseHead(http2_, exchange.stream_id, exchange.ids(), StreamBody(exchange)));
  exchange.stream->Open(exchange.method->open);
  if (draining_) exchange.stream->Finish(UnavailableError(std::string(kGoAway)));
}

void GrpcSession::RunHandler(GrpcExchange& exchange) {
  exchange.held = true;
  loop_.CountHeld(1);
  exchange.Begin();
  exchange.method->handler(exchange);
  if (!exchange.TryWait()) Reply(exchange);
}

void GrpcSession::OnFinished(GrpcExchange& exchange) {
  Reply(exchange);
  flush_();
}

void GrpcSession::Reply(GrpcExchange& exchange) {
  exchange.held = false;
  if (exchange.aligned_byte != 0) aligned_byte_ = exchange.aligned_byte;
  loop_.CountHeld(-1);
  if (exchange.stream_id < 0) return ReleaseIfOver(exchange);
  if (!exchange.status().ok()) return Fail(exchange, exchange.status());
  exchange.answered = true;
  now_ = Clock::Steady().Now();  // the handler took its time
  exchange.progress = now_;
  Expect(SubmitResponseHead(http2_, exchange.stream_id, exchange.ids(), ReplyBody(exchange)));
}

void GrpcSession::Refuse(GrpcExchange& exchange, const Status& status) {
  loop_.refusals().Count(static_cast<int>(status.code()));
  Fail(exchange, status);
}

void GrpcSession::Fail(GrpcExchange& exchange, const Status& status) {
  Expect(SubmitStatus(http2_, exchange.stream_id, status, exchange.ids(), exchange.head.has_unknown_encoding()));
  Detach(exchange);
}

void GrpcSession::RefuseHttp(GrpcExchange& exchange, int http_status) {
  loop_.refusals().Count(http_status);
  Expect(SubmitHttpStatus(http2_, exchange.stream_id, http_status));
  Detach(exchange);
}

void GrpcSession::Reset(int32_t stream_id, uint32_t error_code) {
  Expect(nghttp2_submit_rst_stream(http2_, NGHTTP2_FLAG_NONE, stream_id, error_code));
}

void GrpcSession::Detach(GrpcExchange& exchange) {
  missing_bytes_ = 0;
  Expect(nghttp2_session_set_stream_user_data(http2_, exchange.stream_id, nullptr));
  exchange.stream_id = -1;
  ReleaseIfOver(exchange);
}

void GrpcSession::ReleaseIfOver(GrpcExchange& exchange) {
  if (exchange.stream_id >= 0 || exchange.held || exchange.output_runs > 0) return;
  GrpcExchange* const last = open_.back();
  open_[exchange.index] = last;
  last->index = exchange.index;
  open_.pop_back();
  last_call_ = now_;
  loop_.GiveBack(&exchange);
}

void GrpcSession::Expect(int result) {
  // Anything else is about a stream that ended meanwhile.
  if (nghttp2_is_fatal(result) != 0) failed_ = true;
}

// --- Bodies of responses ---

ssize_t GrpcSession::PackReply(GrpcExchange& exchange, char* room, size_t room_size, uint32_t& flags) {
  const std::string_view reply = exchange.framed_reply();
  const size_t size = std::min(room_size, reply.size() - exchange.packed);
  if (reply.size() <= kMaxCopiedReplyBytes) {
    std::memcpy(room, reply.data() + exchange.packed, size);
  } else {
    flags |= NGHTTP2_DATA_FLAG_NO_COPY;
  }
  exchange.packed += size;
  exchange.progress = now_;
  if (exchange.packed == reply.size()) {
    flags |= NGHTTP2_DATA_FLAG_EOF | NGHTTP2_DATA_FLAG_NO_END_STREAM;
    Expect(SubmitTrailers(http2_, exchange.stream_id, OkStatus()));
  }
  return static_cast<ssize_t>(size);
}

int GrpcSession::SendReply(GrpcExchange& exchange, std::string_view frame_head, size_t size) {
  if (output_.size() >= kMaxQueuedOutputBytes) return NGHTTP2_ERR_WOULDBLOCK;
  if (!output_.Append(frame_head)) return NGHTTP2_ERR_CALLBACK_FAILURE;
  output_.AppendReply(exchange.framed_reply().substr(exchange.sent, size), exchange);
  exchange.sent += size;
  return 0;
}

ssize_t GrpcSession::PackStream(GrpcExchange& exchange, char* room, size_t room_size, uint32_t& flags) {
  GrpcStream& stream = *exchange.stream;
  const size_t size = stream.Take(room, room_size);
  exchange.progress = now_;
  if (stream.finished() && !stream.has_output()) {
    flags |= NGHTTP2_DATA_FLAG_EOF | NGHTTP2_DATA_FLAG_NO_END_STREAM;
    Expect(SubmitTrailers(http2_, exchange.stream_id, stream.status()));
  } else if (size == 0) {
    return NGHTTP2_ERR_DEFERRED;
  }
  return static_cast<ssize_t>(size);
}

void GrpcSession::ResumeStream(GrpcExchange& exchange, bool begins_to_wait) {
  if (begins_to_wait) exchange.progress = Clock::Steady().Now();
  Expect(nghttp2_session_resume_data(http2_, exchange.stream_id));
}

// --- Time ---

bool GrpcSession::CheckTime(TimePoint now) {
  now_ = now;
  if (!greeted_ && now >= After(started_, limits_.preface_timeout)) return false;
  CheckCalls();
  if (!draining_ && now >= After(started_, limits_.max_connection_age)) Drain(now);
  if (!draining_ && open_.empty() && now >= After(last_call_, limits_.max_connection_idle)) Drain(now);
  if (draining_ && !drained_ && now >= After(drain_started_, limits_.drain_round_trip)) FinishDrain();
  if (now >= After(After(started_, limits_.max_connection_age), limits_.max_connection_age_grace)) return false;
  return CheckKeepalive();
}

void GrpcSession::CheckCalls() {
  for (size_t i = open_.size(); i-- > 0;) {  // backwards, since one that is over is replaced by the last
    GrpcExchange& exchange = *open_[i];
    if (exchange.stream_id < 0) continue;
    const bool is_stream = exchange.stream != nullptr;
    if (now_ >= exchange.deadline_time && (is_stream || !exchange.answered)) {
      const Status status = DeadlineExceededError("Deadline Exceeded");
      exchange.cancelled.Cancel();
      if (is_stream) {
        exchange.deadline_time = kNoDeadline;
        exchange.stream->Finish(status);
      } else {
        Refuse(exchange, status);
      }
      continue;
    }
    const bool waits_for_client = is_stream ? exchange.stream->has_output() || exchange.stream->finished() : !exchange.held;
    const bool is_arriving = !is_stream && !exchange.answered;
    const auto patience = draining_ && is_arriving ? std::min(limits_.drain_patience, limits_.stall_timeout) : limits_.stall_timeout;
    const TimePoint since = draining_ && is_arriving ? std::max(exchange.progress, drain_started_) : exchange.progress;
    if (!waits_for_client || now_ < After(since, patience)) continue;
    exchange.progress = now_;
    Reset(exchange.stream_id, NGHTTP2_CANCEL);
  }
}

TimePoint GrpcSession::NextDeadline() const {
  TimePoint next = kNoDeadline;
  for (const GrpcExchange* const exchange : open_) {
    if (exchange->stream_id >= 0 && (exchange->stream != nullptr || !exchange->answered)) next = std::min(next, exchange->deadline_time);
  }
  return next;
}

bool GrpcSession::CheckKeepalive() {
  if (now_ < After(last_heard_, limits_.keepalive_time)) return true;
  if (!ping_pending_) {
    ping_pending_ = true;
    ping_sent_ = now_;
    Expect(nghttp2_submit_ping(http2_, NGHTTP2_FLAG_NONE, kKeepalivePing));
  }
  return now_ < After(ping_sent_, limits_.keepalive_timeout);
}

// --- The end ---

void GrpcSession::Drain(TimePoint now) {
  if (std::exchange(draining_, true)) return;
  drain_started_ = now;
  // Calls that the client begins before it hears of this are still served; its PING answer comes after them.
  Expect(nghttp2_submit_shutdown_notice(http2_));
  Expect(nghttp2_submit_ping(http2_, NGHTTP2_FLAG_NONE, kDrainPing));
  for (GrpcExchange* const exchange : open_) {
    if (exchange->stream != nullptr) exchange->stream->Finish(UnavailableError(std::string(kGoAway)));
  }
}

void GrpcSession::FinishDrain() {
  if (std::exchange(drained_, true)) return;
  Expect(nghttp2_submit_goaway(http2_, NGHTTP2_FLAG_NONE, nghttp2_session_get_last_proc_stream_id(http2_), NGHTTP2_NO_ERROR, nullptr, 0));
}

bool GrpcSession::CountIdleFrame() {
  const auto elapsed_ms = std::chrono::duration_cast<std::chrono::milliseconds>(now_ - idle_frames_refilled_).count();
  if (const int64_t earned = elapsed_ms * kIdleFramesPerSecond / 1000; earned > 0) {
    idle_frames_left_ = std::min(kMaxIdleFrames, idle_frames_left_ + earned);
    idle_frames_refilled_ = now_;
  }
  if (--idle_frames_left_ >= 0) return false;
  EndConnection(NGHTTP2_ENHANCE_YOUR_CALM);
  return true;
}

void GrpcSession::EndConnection(uint32_t error_code) {
  if (std::exchange(ended_, true)) return;
  Expect(nghttp2_session_terminate_session(http2_, error_code));
}

}  // namespace tflite_serving
