// SPDX-License-Identifier: Apache-2.0
#include "core/percent.h"

#include <gtest/gtest.h>

using namespace std::string_view_literals;

namespace tocayo {
namespace {

TEST(Percent, EncodesAllButUnreservedCharacters) {
  EXPECT_EQ(percent_encode("azAZ09-_.~"), "azAZ09-_.~");
  EXPECT_EQ(percent_encode("a b+c/d%e"), "a%20b%2Bc%2Fd%25e");
  EXPECT_EQ(percent_encode("/metrics?x", "/"), "/metrics%3Fx");
  EXPECT_EQ(percent_encode("\0\xff\xc3\xa9"sv), "%00%FF%C3%A9");
  EXPECT_EQ(percent_encode(""), "");
}

TEST(Percent, FormsWriteSpacesAsPlus) {
  EXPECT_EQ(form_encode("a b+c&d=e"), "a+b%2Bc%26d%3De");
  EXPECT_EQ(form_decode("a+b%2bc%26d%3De"), "a b+c&d=e");
  EXPECT_EQ(form_decode("100%, %zz %4"), "100%, %zz %4") << "a broken escape stays";
  EXPECT_EQ(form_decode("%00%41%"), "\0A%"sv);
}

TEST(Percent, DecodingRefusesWhatIsBroken) {
  EXPECT_EQ(percent_decode("a%20b+c"), "a b+c");
  for (const char* broken : {"%", "%4", "%zz", "a%4", "%00", "%-1"}) EXPECT_FALSE(percent_decode(broken)) << broken;
}

TEST(Percent, EveryByteComesBack) {
  std::string all;
  for (int c = 1; c < 256; ++c) all += static_cast<char>(c);
  EXPECT_EQ(percent_decode(percent_encode(all)), all);
  all += '\0';
  EXPECT_EQ(form_decode(form_encode(all)), all);
}

}  // namespace
}  // namespace tocayo
