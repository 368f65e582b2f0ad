/// \file Quantities with their unit in the type: adding bytes to microseconds does not compile.
#pragma once

#include <compare>

namespace tailor {

template <class Unit>
struct Quantity {
  double value = 0;

  friend constexpr auto operator<=>(Quantity, Quantity) = default;
  friend constexpr Quantity operator+(Quantity a, Quantity b) { return {a.value + b.value}; }
  friend constexpr Quantity operator-(Quantity a, Quantity b) { return {a.value - b.value}; }
  friend constexpr Quantity operator*(Quantity a, double f) { return {a.value * f}; }
  friend constexpr Quantity operator*(double f, Quantity a) { return {a.value * f}; }
  friend constexpr Quantity operator/(Quantity a, double f) { return {a.value / f}; }
  friend constexpr double operator/(Quantity a, Quantity b) { return a.value / b.value; }
  constexpr Quantity& operator+=(Quantity b) { return value += b.value, *this; }
  constexpr Quantity& operator-=(Quantity b) { return value -= b.value, *this; }
};

using Microseconds = Quantity<struct MicrosecondsUnit>;
using Bytecount = Quantity<struct BytesUnit>;
using Millijoules = Quantity<struct MillijoulesUnit>;

/// How a number came to be. It travels with the number into every table and file.
enum class How { measured, modelled, interpolated };
constexpr const char* name(How how) {
  return how == How::measured ? "measured" : how == How::modelled ? "modelled" : "interpolated";
}

}  // namespace tailor
