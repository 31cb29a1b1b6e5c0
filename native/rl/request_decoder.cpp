#include "rl/request_decoder.h"

#include <algorithm>
#include <chrono>
#include <new>
#include <unordered_set>
#include <utility>

#include "core/trace.h"

namespace vlmr1 {

namespace {

// Prompts join a pass as long as they have fewer tokens together: those who are under way wait for it, and its
// activations take memory.
constexpr size_t kJoiningTokens = 4096;

}  // namespace

RequestDecoder::RequestDecoder(Model& model, const DecoderOptions& options)
    : model_(model),
      max_rows_(options.max_rows),
      weights_(model.parameters().version()),
      batch_(model, options.adapter) {
  check(options.max_rows >= 0, ErrorCode::kArgument, "max_rows: expected 0 (no limit) or more, got ", options.max_rows);
}

// Tokens that may follow a prompt.
int64_t RequestDecoder::room(const Prompt& prompt) const {
  return model_.info().max_position_embeddings - static_cast<int64_t>(prompt.tokens.size());
}

void RequestDecoder::check_request(const DecodeRequest& request, const std::string& where) const {
  try {
    request.sampling.validate(model_.info().vocab_size);
  } catch (const Error& error) {
    fail(error.code(), where, ".sampling: ", error.what());
  }
  model_.check_prompt(request.prompt, where + ".prompt");
  check(room(request.prompt) > 0, ErrorCode::kTokens, where, ".prompt: expected fewer tokens than the ",
        model_.info().max_position_embeddings, " positions of the model, got ", request.prompt.tokens.size());
}

void RequestDecoder::check_ids(const std::vector<DecodeRequest>& requests) const {
  std::unordered_set<uint64_t> taken;
  for (const DecodeEnded& ended : untold_.finished) taken.insert(ended.id);
  for (const DecodeRequest& request : requests)
    check(requests_.count(request.id) == 0 && taken.insert(request.id).second, ErrorCode::kArgument,
          "add: id: expected one that is not in use until its end was told, got ", request.id, " again");
}

void RequestDecoder::add(std::vector<DecodeRequest> requests) {
  check_ids(requests);
  for (size_t i = 0; i < requests.size(); ++i) check_request(requests[i], "add: requests[" + std::to_string(i) + "]");
  for (DecodeRequest& request : requests) {
    SamplingOptions& sampling = request.sampling;
    sampling.max_new_tokens = static_cast<int32_t>(std::min<int64_t>(sampling.max_new_tokens, room(request.prompt)));
    auto queued =
        std::make_unique<Request>(Request{request.id, &prompts_.use(std::move(request.prompt)), std::move(sampling),
                                          request.seed, request.row, request.completion});
    waiting_.push_back(queued.get());
    requests_.emplace(request.id, std::move(queued));
  }
}

void RequestDecoder::remove(const std::vector<uint64_t>& ids) {
  const std::unordered_set<uint64_t> gone(ids.begin(), ids.end());
  const auto is_gone = [&](const auto& item) { return gone.count(item.id) != 0; };
  std::erase_if(untold_.tokens, is_gone);
  std::erase_if(untold_.finished, is_gone);
  batch_.drop(is_gone, [&](const DecodeRow& row) { forget(row.id); });
  std::erase_if(waiting_, [&](const Request* request) {
    if (!is_gone(*request)) return false;
    forget(request->id);
    return true;
  });
}

// Of one that neither waits nor has a row.
void RequestDecoder::forget(uint64_t id) {
  const auto found = requests_.find(id);
  prompts_.leave(*found->second->prompt, batch_);
  requests_.erase(found);
}

DecodeNews RequestDecoder::step(double max_milliseconds, const StopFlag& stop) {
  using Clock = std::chrono::steady_clock;
  const auto begin = Clock::now();
  const auto is_over = [&] {
    return std::chrono::duration<double, std::milli>(Clock::now() - begin).count() >= max_milliseconds;
  };
  stop.check();
  meet_weights();
  model_.parameters().check_sources();
  const StopScope scope(model_.backend(), stop);
  while (!requests_.empty() && untold_.finished.empty()) {
    stop.check();
    pass();
    if (is_over()) break;
  }
  DecodeNews news = std::exchange(untold_, {});
  news.active = active();
  news.waiting = waiting();
  return news;
}

// Keys and values of other weights are of no use.
void RequestDecoder::meet_weights() {
  const uint64_t now = model_.parameters().version();
  if (now == weights_) return;
  check(batch_.rows().empty(), ErrorCode::kState, "step: the model's weights were written while ", batch_.rows().size(),
        " requests are under way: remove them, and add them again to begin anew");
  prompts_.for_each([&](SharedPrompt& shared) { batch_.release(shared.encoded); });
  weights_ = now;
}

void RequestDecoder::admit() {
  size_t tokens = 0;
  while (!waiting_.empty() && (max_rows_ == 0 || static_cast<int64_t>(batch_.rows().size()) < max_rows_)) {
    Request& request = *waiting_.front();
    const SharedPrompt& shared = *request.prompt;
    // Rows of a prompt that joins already cost nothing more.
    const bool joins = batch_.rows().size() > batch_.going_on() && batch_.rows().back().prompt == &shared.encoded;
    if (shared.encoded.segment < 0 && !joins) {
      if (tokens > 0 && tokens + shared.prompt.tokens.size() > kJoiningTokens) return;
      tokens += shared.prompt.tokens.size();
    }
    join(request);
    waiting_.pop_front();
  }
}

void RequestDecoder::join(Request& request) {
  DecodeRow row;
  row.id = request.id;
  row.prompt = &request.prompt->encoded;
  row.sampling = &request.sampling;
  row.seed = request.seed;
  row.stream = request.row;
  row.index = request.completion;
  batch_.join(std::move(row));
}

// Of the rows that joined and have not begun, the first `keep` stay; the others wait again.
void RequestDecoder::put_back(size_t keep) {
  while (batch_.rows().size() > batch_.going_on() + keep)
    waiting_.push_front(requests_.at(batch_.take_back_joined().id).get());
}

// One token of each, of as many as memory holds.
void RequestDecoder::pass() {
  try {
    admit();
    for (std::string reason = try_pass(); !reason.empty(); reason = try_pass()) {
      model_.backend().trim();
      give_up_one(reason);
      if (batch_.rows().empty()) return;
    }
  } catch (...) {
    put_back(0);
    throw;
  }
  note_drawn();
}

// Why memory did not suffice; empty where it did.
std::string RequestDecoder::try_pass() {
  try {
    batch_.pass();
    return "";
  } catch (const Error& error) {
    if (error.code() != ErrorCode::kOutOfMemory) throw;
    return error.what();
  } catch (const std::bad_alloc&) {
    return "the system has no more memory";
  }
}

// Memory that does not suffice is the fault of a request that joins, which is found alone by halves, or else of the
// youngest.
void RequestDecoder::give_up_one(const std::string& reason) {
  // Without the advice for training that may follow.
  const std::string message = "out of memory, with " + std::to_string(batch_.rows().size() - 1) +
                              " other requests under way (" + reason.substr(0, reason.find(';')) +
                              "): have fewer at once, or shorter ones";
  const size_t joined = batch_.rows().size() - batch_.going_on();
  if (joined > 1) return put_back(joined / 2);
  if (joined == 1) return fail_request(batch_.take_back_joined().id, message);
  const uint64_t youngest = batch_.rows().back().id;
  batch_.drop([&](const DecodeRow& row) { return row.id == youngest; },
              [&](const DecodeRow& row) { fail_request(row.id, message); });
}

void RequestDecoder::fail_request(uint64_t id, const std::string& message) {
  untold_.finished.push_back({id, DecodeEnd::kError, message});
  forget(id);
}

void RequestDecoder::note_drawn() {
  for (const DecodeRow& row : batch_.rows())
    if (!row.failed) untold_.tokens.push_back({row.id, row.out.tokens.back(), row.out.log_probs.back()});
  const auto ended = [](DecodeRow& row) {
    if (row.failed) return true;
    row.out.stopped = row.sampling->stops_at(row.out.tokens.back());
    return row.out.stopped || row.is_full();
  };
  batch_.drop(ended, [&](const DecodeRow& row) {
    if (row.failed) return fail_request(row.id, "token " + std::to_string(row.out.tokens.size()) + kNoToken);
    untold_.finished.push_back({row.id, row.out.stopped ? DecodeEnd::kStop : DecodeEnd::kLength, ""});
    forget(row.id);
  });
}

}  // namespace vlmr1
