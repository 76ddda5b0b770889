// SPDX-License-Identifier: Apache-2.0
// Bucket bounds, iteration, equality, validation and text of native histograms.
#include "metrics/histogram.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <cstring>
#include <limits>

namespace tocayo::metrics {

namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

// Upper bounds of the 256 buckets of schema 8 in [0.5, 1), bit for bit as clients and Prometheus have them (they are a
// few ulps off 2^(i/256-1)). A lower schema s uses every 2^(8-s)th of them.
constexpr std::array<double, 256> kFractions = {
    0.5,
    0.5013556375251013,
    0.5027149505564014,
    0.5040779490592088,
    0.5054446430258502,
    0.5068150424757447,
    0.5081891574554764,
    0.509566998038869,
    0.5109485743270583,
    0.5123338964485679,
    0.5137229745593818,
    0.5151158188430205,
    0.5165124395106142,
    0.5179128468009786,
    0.5193170509806894,
    0.520725062344158,
    0.5221368912137069,
    0.5235525479396449,
    0.5249720429003435,
    0.526395386502313,
    0.5278225891802786,
    0.5292536613972564,
    0.5306886136446309,
    0.5321274564422321,
    0.5335702003384117,
    0.5350168559101208,
    0.5364674337629877,
    0.5379219445313954,
    0.5393803988785598,
    0.5408428074966075,
    0.5423091811066545,
    0.5437795304588847,
    0.5452538663326288,
    0.5467321995364429,
    0.5482145409081883,
    0.549700901315111,
    0.5511912916539204,
    0.5526857228508706,
    0.5541842058618393,
    0.5556867516724088,
    0.5571933712979462,
    0.5587040757836845,
    0.5602188762048033,
    0.5617377836665098,
    0.5632608093041209,
    0.564787964283144,
    0.5663192597993595,
    0.5678547070789026,
    0.5693943173783458,
    0.5709381019847808,
    0.572486072215902,
    0.5740382394200894,
    0.5755946149764913,
    0.5771552102951081,
    0.5787200368168754,
    0.5802891060137493,
    0.5818624293887887,
    0.5834400184762408,
    0.585021884841625,
    0.5866080400818185,
    0.5881984958251406,
    0.5897932637314379,
    0.5913923554921704,
    0.5929957828304968,
    0.5946035575013605,
    0.5962156912915756,
    0.5978321960199137,
    0.5994530835371903,
    0.6010783657263515,
    0.6027080545025619,
    0.6043421618132907,
    0.6059806996384005,
    0.6076236799902344,
    0.6092711149137041,
    0.6109230164863786,
    0.6125793968185725,
    0.6142402680534349,
    0.6159056423670379,
    0.6175755319684665,
    0.6192499490999082,
    0.620928906036742,
    0.622612415087629,
    0.6243004885946023,
    0.6259931389331581,
    0.6276903785123455,
    0.6293922197748583,
    0.6310986751971253,
    0.6328097572894031,
    0.6345254785958666,
    0.6362458516947014,
    0.637970889198196,
    0.6397006037528346,
    0.6414350080393891,
    0.6431741147730128,
    0.6449179367033329,
    0.6466664866145447,
    0.6484197773255048,
    0.6501778216898253,
    0.6519406325959679,
    0.6537082229673385,
    0.6554806057623822,
    0.6572577939746774,
    0.659039800633032,
    0.6608266388015788,
    0.6626183215798706,
    0.6644148621029772,
    0.6662162735415805,
    0.6680225691020727,
    0.6698337620266515,
    0.6716498655934177,
    0.6734708931164728,
    0.6752968579460171,
    0.6771277734684463,
    0.6789636531064505,
    0.6808045103191123,
    0.6826503586020058,
    0.6845012114872953,
    0.6863570825438342,
    0.688217985377265,
    0.690083933630119,
    0.6919549409819159,
    0.6938310211492645,
    0.6957121878859629,
    0.6975984549830999,
    0.6994898362691555,
    0.7013863456101023,
    0.7032879969095076,
    0.7051948041086352,
    0.7071067811865475,
    0.7090239421602076,
    0.7109463010845827,
    0.7128738720527471,
    0.7148066691959849,
    0.7167447066838943,
    0.718687998724491,
    0.7206365595643126,
    0.7225904034885232,
    0.7245495448210174,
    0.7265139979245261,
    0.7284837772007218,
    0.7304588970903234,
    0.7324393720732029,
    0.7344252166684908,
    0.7364164454346837,
    0.7384130729697496,
    0.7404151139112358,
    0.7424225829363761,
    0.7444354947621984,
    0.7464538641456323,
    0.7484777058836176,
    0.7505070348132126,
    0.7525418658117031,
    0.7545822137967112,
    0.7566280937263048,
    0.7586795205991071,
    0.7607365094544071,
    0.762799075372269,
    0.7648672334736434,
    0.7669409989204777,
    0.7690203869158282,
    0.7711054127039704,
    0.7731960915705107,
    0.7752924388424999,
    0.7773944698885442,
    0.7795022001189185,
    0.7816156449856788,
    0.7837348199827764,
    0.7858597406461707,
    0.7879904225539431,
    0.7901268813264122,
    0.7922691326262467,
    0.7944171921585818,
    0.7965710756711334,
    0.7987307989543135,
    0.8008963778413465,
    0.8030678282083853,
    0.805245165974627,
    0.8074284071024302,
    0.8096175675974316,
    0.8118126635086642,
    0.8140137109286738,
    0.8162207259936375,
    0.8184337248834821,
    0.820652723822003,
    0.8228777390769823,
    0.8251087869603088,
    0.8273458838280969,
    0.8295890460808079,
    0.8318382901633681,
    0.8340936325652911,
    0.8363550898207981,
    0.8386226785089391,
    0.8408964152537144,
    0.8431763167241966,
    0.8454623996346523,
    0.8477546807446661,
    0.8500531768592616,
    0.8523579048290255,
    0.8546688815502312,
    0.8569861239649629,
    0.8593096490612387,
    0.8616394738731368,
    0.8639756154809185,
    0.8663180910111553,
    0.8686669176368529,
    0.871022112577578,
    0.8733836930995842,
    0.8757516765159389,
    0.8781260801866495,
    0.8805069215187917,
    0.8828942179666361,
    0.8852879870317771,
    0.8876882462632604,
    0.890095013257712,
    0.8925083056594671,
    0.8949281411607002,
    0.8973545375015533,
    0.8997875124702672,
    0.9022270839033115,
    0.9046732696855155,
    0.9071260877501991,
    0.909585556079304,
    0.9120516927035263,
    0.9145245157024483,
    0.9170040432046711,
    0.9194902933879467,
    0.9219832844793128,
    0.9244830347552253,
    0.9269895625416926,
    0.92950288621441,
    0.9320230241988943,
    0.9345499949706191,
    0.9370838170551498,
    0.93962450902828,
    0.9421720895161669,
    0.9447265771954693,
    0.9472879907934827,
    0.9498563490882775,
    0.9524316709088368,
    0.9550139751351947,
    0.9576032806985735,
    0.9601996065815236,
    0.9628029718180622,
    0.9654133954938133,
    0.9680308967461471,
    0.9706554947643201,
    0.9732872087896164,
    0.9759260581154889,
    0.9785720620876999,
    0.9812252401044634,
    0.9838856116165875,
    0.9865531961276168,
    0.9892280131939752,
    0.9919100824251095,
    0.9945994234836328,
    0.9972960560854698,
};

double exponential_bound(std::int64_t index, std::int32_t schema) {
  // The bucket that ends at 2^1024 holds all finite values up to the largest double; only the next one holds
  // infinities.
  if (schema < 0) {
    const std::int64_t exponent = index * (std::int64_t{1} << -schema);
    if (exponent == 1024) return std::numeric_limits<double>::max();
    return std::ldexp(1.0, static_cast<int>(std::clamp<std::int64_t>(exponent, -5000, 5000)));
  }
  const std::int64_t mask = (1 << schema) - 1;
  const double fraction = kFractions[static_cast<std::size_t>(index & mask) << (8 - schema)];
  const int exponent = static_cast<int>(std::clamp<std::int64_t>((index >> schema) + 1, -5000, 5000));
  if (fraction == 0.5 && exponent == 1025) return std::numeric_limits<double>::max();
  return std::ldexp(fraction, exponent);
}

// Bucket indices that spans name, ignoring how they are cut into spans.
bool same_layout(std::span<const Span> a, std::span<const Span> b) {
  auto skip_empty = [](std::span<const Span> spans, std::size_t& i, std::int64_t& start) {
    while (i < spans.size()) {
      start += spans[i].offset;
      if (spans[i].length > 0) return true;
      ++i;
    }
    return false;
  };
  std::size_t i = 0, j = 0;
  std::int64_t at_a = 0, at_b = 0;
  std::uint32_t left_a = 0, left_b = 0;
  while (true) {
    if (left_a == 0) {
      if (skip_empty(a, i, at_a)) left_a = a[i].length;
    }
    if (left_b == 0) {
      if (skip_empty(b, j, at_b)) left_b = b[j].length;
    }
    if (left_a == 0 || left_b == 0) return left_a == left_b;
    if (at_a != at_b) return false;
    const std::uint32_t step = std::min(left_a, left_b);
    at_a += step;
    at_b += step;
    left_a -= step;
    left_b -= step;
    if (left_a == 0) ++i;
    if (left_b == 0) ++j;
  }
}

bool same_bits(std::span<const double> a, std::span<const double> b) {
  return a.size() == b.size() && (a.empty() || std::memcmp(a.data(), b.data(), a.size_bytes()) == 0);
}

bool same_bits(double a, double b) { return std::bit_cast<std::uint64_t>(a) == std::bit_cast<std::uint64_t>(b); }

std::string describe(const Bucket& bucket) {
  return fmt::format("{}{},{}{}:{}", bucket.lower_inclusive ? '[' : '(', format_shortest(bucket.lower),
                     format_shortest(bucket.upper), bucket.upper_inclusive ? ']' : ')', format_shortest(bucket.count));
}

Result<> check_spans(std::span<const Span> spans, std::size_t buckets, std::string_view side,
                     bool first_may_be_negative) {
  std::size_t named = 0;
  for (std::size_t i = 0; i < spans.size(); ++i) {
    if (spans[i].offset < 0 && (i > 0 || !first_may_be_negative)) {
      return fail(ErrorKind::bad_input,
                  fmt::format("{}: span number {} with offset {}: histogram has a span whose offset is negative", side,
                              i + 1, spans[i].offset));
    }
    named += spans[i].length;
  }
  if (named != buckets) {
    return fail(ErrorKind::bad_input, fmt::format("{}: spans need {} buckets, have {} buckets: histogram spans specify "
                                                  "different number of buckets than provided",
                                                  side, named, buckets));
  }
  return {};
}

Result<> check_counts(std::span<const double> buckets, std::string_view side) {
  for (std::size_t i = 0; i < buckets.size(); ++i) {
    if (buckets[i] < 0) {
      return fail(ErrorKind::bad_input, fmt::format("{}: bucket number {} has observation count of {}: histogram has a "
                                                    "bucket whose observation count is negative",
                                                    side, i + 1, format_shortest(buckets[i])));
    }
  }
  return {};
}

Result<> check_custom_bounds(const FloatHistogram& histogram) {
  const auto bad = [](std::string text) { return fail(ErrorKind::bad_input, "custom buckets: " + text); };
  const auto& bounds = histogram.custom_values;
  for (std::size_t i = 0; i < bounds.size(); ++i) {
    if (std::isnan(bounds[i])) return bad("histogram custom bounds must not be NaN");
    if (i > 0 && bounds[i] <= bounds[i - 1]) {
      return bad(fmt::format(
          "previous bound is {:f} and current is {:f}: histogram custom bounds must be in strictly increasing order",
          bounds[i - 1], bounds[i]));
    }
  }
  if (!bounds.empty() && bounds.back() == kInfinity) {
    return bad("last +Inf bound must not be explicitly defined: histogram custom bounds must be finite");
  }
  if (auto checked = check_spans(histogram.positive_spans, histogram.positive_buckets.size(), "custom buckets", false);
      !checked)
    return checked;
  std::size_t covered = 0;
  for (const Span& span : histogram.positive_spans) covered += static_cast<std::size_t>(span.offset) + span.length;
  if (bounds.size() + 1 < covered) {
    return bad(
        fmt::format("only {} custom bounds defined which is insufficient to cover total span length of {}: "
                    "histogram custom bounds are too few",
                    bounds.size(), covered));
  }
  if (histogram.zero_count != 0) return bad("must have zero count of 0");
  if (histogram.zero_threshold != 0) return bad("must have zero threshold of 0");
  if (!histogram.negative_spans.empty()) return bad("must not have negative spans");
  if (!histogram.negative_buckets.empty()) return bad("must not have negative buckets");
  return {};
}

}  // namespace

std::string format_shortest(double value) {
  if (std::isnan(value)) return "NaN";
  if (std::isinf(value)) return value > 0 ? "+Inf" : "-Inf";
  char buffer[40];
  auto end = std::to_chars(buffer, buffer + sizeof(buffer), value, std::chars_format::scientific).ptr;
  const std::string_view text(buffer, static_cast<std::size_t>(end - buffer));
  const auto e = text.find('e');
  int exponent = 0;
  const char* digits = text.data() + e + 1;
  if (*digits == '+') ++digits;
  std::from_chars(digits, end, exponent);
  // Exponent form below 1e-4 and from 1e6 on, as Go's %g decides for shortest digits.
  if (value != 0 && (exponent < -4 || exponent >= 6)) return std::string(text);
  end = std::to_chars(buffer, buffer + sizeof(buffer), value, std::chars_format::fixed).ptr;
  return std::string(buffer, end);
}

double bucket_bound(std::int64_t index, std::int32_t schema, std::span<const double> custom_values) {
  if (schema == kCustomBucketsSchema) {
    if (index < 0) return -kInfinity;
    if (static_cast<std::size_t>(index) >= custom_values.size()) return kInfinity;
    return custom_values[static_cast<std::size_t>(index)];
  }
  return exponential_bound(index, std::clamp(schema, -10, kMaxExponentialSchema));
}

double Bucket::fraction_below(double value, bool linear) const {
  if (linear) return (value - lower) / (upper - lower);
  const double log_lower = std::log2(std::fabs(lower));
  const double log_upper = std::log2(std::fabs(upper));
  const double log_value = std::log2(std::fabs(value));
  if (value > 0) return (log_value - log_lower) / (log_upper - log_lower);
  return 1 - (log_value - log_upper) / (log_lower - log_upper);
}

BucketCursor::BucketCursor(const FloatHistogram& histogram, Order order) : histogram_(&histogram), order_(order) {
  switch (order) {
    case Order::ascending:
      stage_ = Stage::towards_zero;
      enter(false, true);
      break;
    case Order::descending:
      stage_ = Stage::towards_zero;
      enter(true, true);
      break;
    case Order::positive:
      stage_ = Stage::away;
      enter(true, false);
      break;
    case Order::negative:
      stage_ = Stage::away;
      enter(false, false);
      break;
  }
}

void BucketCursor::enter(bool positive, bool reverse) {
  positive_ = positive;
  reverse_ = reverse;
  spans_ = positive ? histogram_->positive_spans : histogram_->negative_spans;
  buckets_ = positive ? histogram_->positive_buckets : histogram_->negative_buckets;
  in_span_ = 0;
  if (!reverse) {
    span_ = 0;
    bucket_index_ = 0;
    index_ = spans_.empty() ? 0 : spans_[0].offset;
    return;
  }
  span_ = spans_.size();
  bucket_index_ = buckets_.size();
  index_ = 0;
  for (const Span& span : spans_) index_ += span.offset + span.length;
  // From here index_ is one above the bucket to visit next; in_span_ counts what is left of the current span.
  if (span_ > 0) in_span_ = spans_[span_ - 1].length;
}

bool BucketCursor::next_on_side() {
  std::int64_t index = 0;
  if (!reverse_) {
    while (span_ < spans_.size() && in_span_ >= spans_[span_].length) {
      in_span_ = 0;
      if (++span_ < spans_.size()) index_ += spans_[span_].offset;
    }
    if (span_ >= spans_.size() || bucket_index_ >= buckets_.size()) return false;
    index = index_++;
    ++in_span_;
    bucket_.count = buckets_[bucket_index_++];
  } else {
    while (span_ > 0 && in_span_ == 0) {
      index_ -= spans_[span_ - 1].offset;
      if (--span_ > 0) in_span_ = spans_[span_ - 1].length;
    }
    if (span_ == 0 || bucket_index_ == 0) return false;
    index = --index_;
    --in_span_;
    bucket_.count = buckets_[--bucket_index_];
  }
  bucket_.index = index;
  const auto& custom = histogram_->custom_values;
  const double upper = bucket_bound(index, histogram_->schema, custom);
  const double lower = bucket_bound(index - 1, histogram_->schema, custom);
  bucket_.lower = positive_ ? lower : -upper;
  bucket_.upper = positive_ ? upper : -lower;
  if (histogram_->uses_custom_buckets()) {
    bucket_.lower_inclusive = index == 0;
    bucket_.upper_inclusive = true;
  } else {
    bucket_.lower_inclusive = bucket_.lower < 0;
    bucket_.upper_inclusive = bucket_.upper > 0;
  }
  return true;
}

bool BucketCursor::next() {
  const bool all = order_ == Order::ascending || order_ == Order::descending;
  while (true) {
    switch (stage_) {
      case Stage::towards_zero:
      case Stage::away:
        if (next_on_side()) {
          if (all) {  // a bucket that overlaps the zero bucket ends where that begins
            const double threshold = histogram_->zero_threshold;
            if (bucket_.upper < 0 && bucket_.upper > -threshold) bucket_.upper = -threshold;
            if (bucket_.lower > 0 && bucket_.lower < threshold) bucket_.lower = threshold;
          }
          return true;
        }
        if (stage_ == Stage::away) {
          stage_ = Stage::done;
          return false;
        }
        stage_ = Stage::zero;
        break;
      case Stage::zero:
        stage_ = Stage::away;
        enter(order_ == Order::ascending, false);
        if (histogram_->zero_count > 0 && !histogram_->uses_custom_buckets()) {
          bucket_ = {-histogram_->zero_threshold, histogram_->zero_threshold, true, true, histogram_->zero_count, 0};
          return true;
        }
        break;
      case Stage::done: return false;
    }
  }
}

bool FloatHistogram::equals(const FloatHistogram& other) const {
  if (schema != other.schema || !same_bits(count, other.count) || !same_bits(sum, other.sum)) return false;
  if (uses_custom_buckets() && custom_values != other.custom_values) return false;
  return zero_threshold == other.zero_threshold && same_bits(zero_count, other.zero_count) &&
         same_layout(negative_spans, other.negative_spans) && same_bits(negative_buckets, other.negative_buckets) &&
         same_layout(positive_spans, other.positive_spans) && same_bits(positive_buckets, other.positive_buckets);
}

bool FloatHistogram::has_overflow() const {
  const auto infinite = [](double value) { return std::isinf(value); };
  return infinite(zero_count) || infinite(count) || infinite(sum) || std::ranges::any_of(positive_buckets, infinite) ||
         std::ranges::any_of(negative_buckets, infinite) || std::ranges::any_of(custom_values, infinite);
}

Result<> FloatHistogram::validate() const {
  if (uses_custom_buckets()) {
    if (auto checked = check_custom_bounds(*this); !checked) return checked;
  } else if (schema >= kMinExponentialSchema && schema <= kMaxExponentialSchema) {
    if (auto checked = check_spans(positive_spans, positive_buckets.size(), "positive side", true); !checked)
      return checked;
    if (auto checked = check_spans(negative_spans, negative_buckets.size(), "negative side", true); !checked)
      return checked;
    if (auto checked = check_counts(negative_buckets, "negative side"); !checked) return checked;
    if (zero_count < 0) {
      return fail(
          ErrorKind::bad_input,
          fmt::format(
              "zero bucket has observation count of {}: histogram has a bucket whose observation count is negative",
              format_shortest(zero_count)));
    }
    if (!custom_values.empty())
      return fail(ErrorKind::bad_input, "histogram with exponential schema must not have custom bounds");
  } else {
    return fail(ErrorKind::bad_input,
                fmt::format("histogram has an invalid schema, which must be between {} and {} for exponential buckets, "
                            "or {} for custom "
                            "buckets, got schema {}",
                            kMinExponentialSchema, kMaxExponentialSchema, kCustomBucketsSchema, schema));
  }
  if (count < 0) {
    return fail(ErrorKind::bad_input, fmt::format("observation count is  {}: histogram's observation count is negative",
                                                  format_shortest(count)));
  }
  return check_counts(positive_buckets, "positive side");
}

std::string FloatHistogram::to_string() const {
  std::string text = fmt::format("{{count:{}, sum:{}", format_shortest(count), format_shortest(sum));
  BucketCursor cursor(*this, BucketCursor::Order::ascending);
  while (cursor.next()) {
    Bucket bucket = cursor.bucket();
    if (bucket.count == 0) continue;
    if (bucket.index != 0 || bucket.lower != -bucket.upper) {  // show nominal bounds, not those cut at the zero bucket
      const bool positive = bucket.upper > 0 || uses_custom_buckets();
      const double upper = bucket_bound(bucket.index, schema, custom_values);
      const double lower = bucket_bound(bucket.index - 1, schema, custom_values);
      bucket.lower = positive ? lower : -upper;
      bucket.upper = positive ? upper : -lower;
    }
    text += ", " + describe(bucket);
  }
  return text + "}";
}

std::string FloatHistogram::to_test_expression() const {
  FloatHistogram dense = *this;
  dense.compact(std::numeric_limits<std::size_t>::max());
  std::vector<std::string> parts;
  if (schema != 0) parts.push_back(fmt::format("schema:{}", schema));
  if (count != 0) parts.push_back("count:" + format_shortest(count));
  if (sum != 0) parts.push_back("sum:" + format_shortest(sum));
  if (zero_count != 0) parts.push_back("z_bucket:" + format_shortest(zero_count));
  if (zero_threshold != 0) parts.push_back("z_bucket_w:" + format_shortest(zero_threshold));
  const auto list = [](std::span<const double> values) {
    std::string text;
    for (double value : values) text += (text.empty() ? "" : " ") + format_shortest(value);
    return "[" + text + "]";
  };
  if (uses_custom_buckets()) parts.push_back("custom_values:" + list(custom_values));
  switch (hint) {
    case ResetHint::unknown: break;
    case ResetHint::reset: parts.emplace_back("counter_reset_hint:reset"); break;
    case ResetHint::not_reset: parts.emplace_back("counter_reset_hint:not_reset"); break;
    case ResetHint::gauge: parts.emplace_back("counter_reset_hint:gauge"); break;
  }
  if (!dense.positive_buckets.empty()) {
    if (dense.positive_spans[0].offset != 0) parts.push_back(fmt::format("offset:{}", dense.positive_spans[0].offset));
    parts.push_back("buckets:" + list(dense.positive_buckets));
  }
  if (!dense.negative_buckets.empty()) {
    if (dense.negative_spans[0].offset != 0)
      parts.push_back(fmt::format("n_offset:{}", dense.negative_spans[0].offset));
    parts.push_back("n_buckets:" + list(dense.negative_buckets));
  }
  return fmt::format("{{{{{}}}}}", fmt::join(parts, " "));
}

std::size_t FloatHistogram::accounted_size() const {
  return 168 + 8 * (positive_spans.size() + negative_spans.size() + positive_buckets.size() + negative_buckets.size() +
                    custom_values.size());
}

std::size_t FloatHistogram::memory_bytes() const {
  return sizeof(*this) + sizeof(Span) * (positive_spans.capacity() + negative_spans.capacity()) +
         sizeof(double) * (positive_buckets.capacity() + negative_buckets.capacity() + custom_values.capacity());
}

}  // namespace tocayo::metrics
