#include "rl/estimate.h"

#include <algorithm>
#include <functional>

#include "optim/adamw.h"
#include "rl/generate.h"
#include "rl/objective.h"

namespace vlmr1 {

namespace {

constexpr int kMaxSteps = 4;

class Phases {
 public:
  explicit Phases(Backend& backend) : backend_(backend) {}

  // Of several runs of a phase the largest counts.
  void run(const char* name, const std::function<void()>& body) {
    backend_.reset_memory_peak();
    body();
    const MemoryCounts counts = backend_.memory();
    auto phase = std::find_if(list_.begin(), list_.end(), [&](const PhaseMemory& p) { return p.name == name; });
    if (phase == list_.end()) phase = list_.insert(phase, PhaseMemory{name, {}, 0});
    if (counts.peak_use.total() > phase->use.total()) phase->use = counts.peak_use;
    phase->held = std::max(phase->held, counts.held);
  }
  std::vector<PhaseMemory> take() { return std::move(list_); }

 private:
  Backend& backend_;
  std::vector<PhaseMemory> list_;
};

// The phases of a training run, with whatever the model draws as completions.
class Steps {
 public:
  Steps(Model& model, Model* reference, const std::vector<Prompt>& prompts, const StepWorkload& workload,
        const StopFlag& stop)
      : model_(model), reference_(reference), prompts_(prompts), workload_(workload), stop_(stop) {}

  void evaluate() {
    std::vector<Prompt> batch;
    for (int32_t i = 0; i < workload_.evaluated; ++i) batch.push_back(with_new_pictures(prompts_[i % prompts_.size()]));
    GenerateOptions options = generate_options();
    options.n = 1;
    options.max_rows = workload_.evaluated_rows;
    options.sampling.temperature = 0;
    generate(model_, batch, options, stop_, nullptr);
  }

  // What a model keeps of pictures grows from step to step, up to a bound.
  void see_earlier_pictures() {
    for (int32_t step = 0; step < workload_.earlier_steps; ++step) {
      const size_t used = model_.backend().memory().used;
      show_new_pictures();
      groups_.clear();
      for (const Prompt& prompt : prompts_) groups_.push_back({prompt, {{prompt.tokens[0]}}});
      for (const auto& batch : workload_.micro_batches) {
        score(model_, of(batch), 1.0f, AdapterMode::Use::kOn, stop_);
        if (reference_ != nullptr && reference_ != &model_)
          score(*reference_, of(batch), 1.0f, AdapterMode::Use::kOn, stop_);
      }
      if (model_.backend().memory().used == used) return;
    }
  }

  void generate_groups() {
    show_new_pictures();
    const auto drawn = generate(model_, prompts_, generate_options(), stop_, nullptr);
    groups_.clear();
    for (size_t p = 0; p < prompts_.size(); ++p) {
      Group group{prompts_[p], {}};
      for (const Completion& completion : drawn[p]) group.completions.push_back(completion.tokens);
      groups_.push_back(std::move(group));
    }
  }

  void score_reference() {
    reference_log_probs_.clear();
    using Use = AdapterMode::Use;
    const bool keeps_start = model_.parameters().plan().lora.keep_start;
    const Use adapter = reference_ != &model_ ? Use::kOn : keeps_start ? Use::kStart : Use::kOff;
    for (const auto& batch : workload_.micro_batches)
      reference_log_probs_.push_back(score(*reference_, of(batch), 1.0f, adapter, stop_).log_probs);
  }

  void train() const {
    const int64_t sequences = static_cast<int64_t>(prompts_.size()) * workload_.completions;
    for (size_t b = 0; b < workload_.micro_batches.size(); ++b) {
      const std::vector<Group> groups = of(workload_.micro_batches[b]);
      Objective objective;
      objective.loss.type = LossType::kDapo;
      objective.loss.total_sequences = sequences;
      objective.loss.total_tokens = static_cast<double>(sequences * workload_.max_new_tokens);
      // The bonus takes a number more per token, so that it need not be asked for.
      objective.loss.entropy_coef = 1.0;
      objective.loss.total_entropy_tokens = objective.loss.total_tokens;
      objective.loss.max_completion_length = workload_.max_new_tokens;
      if (reference_ != nullptr) {
        objective.loss.beta = 0.04;
        objective.ref_log_probs = reference_log_probs_[b];
      }
      for (const Group& group : groups) objective.advantages.emplace_back(group.completions.size(), 1.0f);
      accumulate(model_, groups, objective, stop_);
    }
  }

  void optimize() const { adamw_step(model_.backend(), model_.parameters(), {}); }

 private:
  GenerateOptions generate_options() const {
    GenerateOptions options;
    options.n = workload_.completions;
    options.sampling.max_new_tokens = workload_.max_new_tokens;
    options.max_rows = workload_.max_rows;
    return options;
  }

  Prompt with_new_pictures(Prompt prompt) {
    for (auto& picture : prompt.pictures) {
      auto copy = std::make_shared<Picture>(*picture);
      copy->pixel_values[0] = static_cast<float>(++shown_);
      picture = std::move(copy);
    }
    return prompt;
  }

  void show_new_pictures() {
    for (Prompt& prompt : prompts_) prompt = with_new_pictures(std::move(prompt));
  }

  std::vector<Group> of(const std::vector<int32_t>& batch) const {
    std::vector<Group> groups;
    for (const int32_t index : batch) groups.push_back(groups_[index]);
    return groups;
  }

  Model& model_;
  Model* reference_;
  std::vector<Prompt> prompts_;
  int32_t shown_ = 0;
  const StepWorkload& workload_;
  const StopFlag& stop_;
  std::vector<Group> groups_;
  std::vector<TokenValues> reference_log_probs_;  // of each micro-batch
};

void check_workload(const StepWorkload& workload, size_t prompts) {
  check(prompts > 0, ErrorCode::kArgument, "prompts: expected at least one");
  for (const auto& batch : workload.micro_batches)
    for (const int32_t index : batch)
      check(index >= 0 && index < static_cast<int64_t>(prompts), ErrorCode::kArgument,
            "micro_batches: expected indices of ", prompts, " prompts, got ", index);
}

// A token of text: one that may be drawn.
int32_t text_token(const ModelInfo& model) {
  const auto& banned = model.banned_tokens;
  int32_t token = 0;
  while (std::find(banned.begin(), banned.end(), token) != banned.end()) ++token;
  return token;
}

size_t bytes_of_pictures(const ModelInfo& model, const std::vector<PromptShape>& shapes) {
  constexpr int64_t kChannels = 3;
  const int64_t row = kChannels * model.temporal_patch_size * model.patch_size * model.patch_size;
  size_t bytes = 0;
  for (const PromptShape& shape : shapes)
    for (const auto& grid : shape.grids)
      bytes += static_cast<size_t>(int64_t{grid[0]} * grid[1] * grid[2] * row) * sizeof(float);
  return bytes;
}

}  // namespace

std::vector<Prompt> prompts_of_shapes(const ModelInfo& model, const std::vector<PromptShape>& shapes) {
  const int64_t merged = int64_t{model.merge_size} * model.merge_size;
  std::vector<Prompt> prompts;
  for (size_t i = 0; i < shapes.size(); ++i) {
    Prompt prompt;
    std::vector<int32_t> pads;
    for (const auto& grid : shapes[i].grids) {
      auto picture = std::make_shared<Picture>();
      picture->grid = grid;
      picture->pixel_values.assign(1, 0.0f);
      pads.insert(pads.end(), static_cast<size_t>(picture->patches() / merged), model.image_token_id);
      prompt.pictures.push_back(std::move(picture));
    }
    const int64_t text = shapes[i].tokens - static_cast<int64_t>(pads.size());
    check(text > 0, ErrorCode::kArgument, "prompt ", i, ": expected more tokens than the ", pads.size(),
          " of its pictures, got ", shapes[i].tokens);
    prompt.tokens.assign(static_cast<size_t>(text), text_token(model));
    prompt.tokens.insert(prompt.tokens.end(), pads.begin(), pads.end());
    prompts.push_back(std::move(prompt));
  }
  return prompts;
}

std::vector<PhaseMemory> measure_steps(Model& model, Model* reference, const std::vector<Prompt>& prompts,
                                       const StepWorkload& workload, const StopFlag& stop) {
  check_workload(workload, prompts.size());
  Steps steps(model, reference, prompts, workload, stop);
  Phases phases(model.backend());
  if (workload.evaluated > 0) phases.run("evaluate", [&] { steps.evaluate(); });
  // The optimizer's moments come with the first step's end, so that the second may need more; and what is kept for
  // reuse does not fit at once.
  size_t held = 0;
  for (int step = 0; step < kMaxSteps && (step < 2 || model.backend().memory().held > held); ++step) {
    held = model.backend().memory().held;
    phases.run("generate", [&] { steps.generate_groups(); });
    if (reference != nullptr) phases.run("reference", [&] { steps.score_reference(); });
    phases.run("train", [&] { steps.train(); });
    phases.run("optimize", [&] { steps.optimize(); });
    if (step == 0) steps.see_earlier_pictures();
  }
  return phases.take();
}

MemoryEstimate estimate_memory(const EstimateOptions& options, const StopFlag& stop) {
  const std::unique_ptr<Backend> backend = make_cpu_backend({options.threads, options.isa, true});
  const Json config = Json::parse(options.config, "config.json");
  const auto model = Model::reserve(*backend, config, options.load, options.stored);
  std::unique_ptr<Model> copy;
  if (options.reference == ReferencePolicy::kCopy) {
    LoadOptions load;  // trains nothing
    load.plan.precision = options.reference_precision;
    load.plan.writable = options.reference_writable;
    copy = Model::reserve(*backend, config, load, options.stored);
  }
  Model* reference = options.reference == ReferencePolicy::kSame ? model.get() : copy.get();

  const MemoryCounts loaded = backend->memory();
  MemoryEstimate result{backend->name(), model->info(), {{"load", loaded.peak_use, loaded.held}}, 0};
  const std::vector<Prompt> prompts = prompts_of_shapes(model->info(), options.prompts);
  for (PhaseMemory& phase : measure_steps(*model, reference, prompts, options.workload, stop))
    result.phases.push_back(std::move(phase));
  result.picture_bytes = bytes_of_pictures(model->info(), options.prompts);
  return result;
}

}  // namespace vlmr1
