// A shape is a test "is this point inside?" in coordinates of its own (about the unit disc): polygons from a
// table, round ones by formula. draw_image chooses a Scene, samples 4 x 4 points per pixel, then adds noise.
// Only + - * / and sqrt, and the build forbids fused multiply-add, so that images are equal bit by bit
// everywhere.
#include "demo/shapes.h"

#include "tailor/base/random.h"

#include <algorithm>
#include <cmath>
#include <span>

namespace tailor::demo {
namespace {

struct Spot {
  double x, y;
};

using Colour = std::array<double, 3>;  // 0..255

constexpr Spot square[] = {{.8, .8}, {-.8, .8}, {-.8, -.8}, {.8, -.8}};
constexpr Spot triangle[] = {{0, 1.05}, {-.909, -.525}, {.909, -.525}};
constexpr Spot hexagon[] = {{1, 0}, {.5, .866}, {-.5, .866}, {-1, 0}, {-.5, -.866}, {.5, -.866}};
constexpr Spot star[] = {{0, 1.1},  {-.247, .340}, {-1.046, .340}, {-.399, -.130}, {-.647, -.890},
                         {0, -.42}, {.647, -.890}, {.399, -.130},  {1.046, .340},  {.247, .340}};
constexpr Spot cross[] = {{.3, 1},   {-.3, 1}, {-.3, .3}, {-1, .3}, {-1, -.3}, {-.3, -.3},
                          {-.3, -1}, {.3, -1}, {.3, -.3}, {1, -.3}, {1, .3},   {.3, .3}};
constexpr Spot arrow[] = {{0, 1.1}, {-.8, .15}, {-.28, .15}, {-.28, -1}, {.28, -1}, {.28, .15}, {.8, .15}};

// Even-odd rule.
bool in_polygon(std::span<const Spot> corners, Spot p) {
  bool inside = false;
  for (std::size_t i = 0, j = corners.size() - 1; i < corners.size(); j = i++) {
    Spot a = corners[i], b = corners[j];
    if ((a.y > p.y) != (b.y > p.y) && p.x < (b.x - a.x) * (p.y - a.y) / (b.y - a.y) + a.x) inside = !inside;
  }
  return inside;
}

bool in_disc(Spot p, double x, double radius) { return (p.x - x) * (p.x - x) + p.y * p.y < radius * radius; }

// In the order of shape_names.
bool in_shape(int shape, Spot p) {
  switch (shape) {
    case 0:
      return in_disc(p, 0, .95);
    case 1:
      return in_polygon(square, p);
    case 2:
      return in_polygon(triangle, p);
    case 3:
      return in_polygon(star, p);
    case 4:
      return in_polygon(cross, p);
    case 5:
      return in_disc(p, 0, 1) && !in_disc(p, 0, .55);
    case 6:
      return in_polygon(hexagon, p);
    case 7:
      return in_disc(p, 0, 1) && !in_disc(p, .5, .8);
    case 8:
      return in_disc({p.x, p.y - .4}, 0, 1.05) && p.y < .4;
    default:
      return in_polygon(arrow, p);
  }
}

struct Frame {
  Spot centre, across;  // across: unit vector times the radius
  double stretch;       // of the second axis

  Spot inward(Spot p) const {
    double dx = p.x - centre.x, dy = p.y - centre.y,
           square_radius = across.x * across.x + across.y * across.y;
    return {(dx * across.x + dy * across.y) / square_radius,
            (dy * across.x - dx * across.y) / square_radius / stretch};
  }
};

struct Scene {
  int shape;
  Frame frame;
  Colour fill, from, to;  // background from one colour to the other
  Spot slope;
  bool covered;
  Frame cover;  // a bar: |x| < 1, |y| < 1 in its frame
  Colour cover_fill;
};

Spot direction(Random& random) {
  for (;;) {
    Spot p{random.uniform(-1, 1), random.uniform(-1, 1)};
    double square_length = p.x * p.x + p.y * p.y;
    if (square_length < .01 || square_length > 1) continue;
    double length = std::sqrt(square_length);
    return {p.x / length, p.y / length};
  }
}

Colour colour(Random& random) {
  return {random.uniform(0, 255), random.uniform(0, 255), random.uniform(0, 255)};
}

double distance(const Colour& a, const Colour& b) {
  double sum = 0;
  for (int c = 0; c < 3; ++c) sum += (a[c] - b[c]) * (a[c] - b[c]);
  return std::sqrt(sum);
}

Frame frame(Random& random, Spot centre, double radius, double stretch) {
  Spot across = direction(random);
  return {centre, {across.x * radius, across.y * radius}, stretch};
}

Scene scene(int shape, Random& random) {
  Scene s{};
  s.shape = shape;
  double radius = random.uniform(6, 12), margin = radius * .8;
  Spot centre{random.uniform(margin, image_side - margin), random.uniform(margin, image_side - margin)};
  s.frame = frame(random, centre, radius, random.uniform(.8, 1.25));
  s.from = colour(random), s.to = colour(random), s.slope = direction(random);
  do s.fill = colour(random);
  while (distance(s.fill, s.from) < 70 || distance(s.fill, s.to) < 70);
  s.covered = random.uniform() < .5;
  Spot off = direction(random);
  double away = radius * random.uniform(.5, 1.1);
  double cover_stretch = random.uniform(.2, .5), cover_length = random.uniform(3, 9);
  s.cover = frame(random, {centre.x + off.x * away, centre.y + off.y * away}, cover_length, cover_stretch);
  s.cover_fill = colour(random);
  return s;
}

Colour background(const Scene& s, Spot p) {
  double way = .5 + ((p.x / image_side - .5) * s.slope.x + (p.y / image_side - .5) * s.slope.y) * .7;
  Colour result;
  for (int c = 0; c < 3; ++c) result[c] = s.from[c] + (s.to[c] - s.from[c]) * way;
  return result;
}

Colour colour_at(const Scene& s, Spot p) {
  Spot bar = s.cover.inward(p);
  if (s.covered && bar.x > -1 && bar.x < 1 && bar.y > -1 && bar.y < 1) return s.cover_fill;
  return in_shape(s.shape, s.frame.inward(p)) ? s.fill : background(s, p);
}

Colour pixel(const Scene& s, int x, int y) {
  Colour sum{};
  for (int i = 0; i < 16; ++i) {
    Colour one = colour_at(s, {x + (i % 4 + .5) / 4, y + (i / 4 + .5) / 4});
    for (int c = 0; c < 3; ++c) sum[c] += one[c] / 16;
  }
  return sum;
}

// About normal with deviation 1: the sum of twelve uniform numbers.
double noise(Random& random) {
  double sum = -6;
  for (int i = 0; i < 12; ++i) sum += random.uniform();
  return sum;
}

void draw_image(int shape, Random& random, std::uint8_t* record) {
  const Scene s = scene(shape, random);
  const double strength = random.uniform(4, 26);
  *record++ = static_cast<std::uint8_t>(shape);
  for (int y = 0; y < image_side; ++y)
    for (int x = 0; x < image_side; ++x) {
      Colour value = pixel(s, x, y);
      for (int c = 0; c < 3; ++c)
        record[(c * image_side + y) * image_side + x] =
            static_cast<std::uint8_t>(std::clamp(value[c] + strength * noise(random) + .5, 0.0, 255.0));
    }
}

}  // namespace

std::vector<std::uint8_t> draw_shapes(std::size_t count, std::uint64_t seed) {
  Random random(seed);
  std::vector<std::uint8_t> records(count * record_size);
  std::vector<int> order{0, 1, 2, 3, 4, 5, 6, 7, 8, 9};
  for (std::size_t i = 0; i < count; ++i) {
    if (i % order.size() == 0) random.shuffle(order);
    draw_image(order[i % order.size()], random, records.data() + i * record_size);
  }
  return records;
}

}  // namespace tailor::demo
