// What one thread needs to draw a token, kept between tokens.
#pragma once

#include <cstdint>
#include <vector>

namespace vlmr1::cpu {

struct SampleCandidate {
  int32_t token;
  float score;
  double weight;  // e^((score − best score) / temperature)
};

struct SampleScratch {
  std::vector<float> scores;             // a row that a penalty or a ban changes
  std::vector<int32_t> seen;             // its tokens in order
  std::vector<float> maxima;             // of each block of scores
  std::vector<float> ordered;            // the same, to be put in order
  std::vector<double> sums;              // of each block's weights
  std::vector<float> weights;            // of one block
  std::vector<SampleCandidate> list;     // what the filters have left, by token
  std::vector<SampleCandidate> ranking;  // the same, to be put in order
};

}  // namespace vlmr1::cpu
