// Built where no MPI was found.
#include "tailor/base/error.h"
#include "tailor/farm/ranks.h"

#include <cstdlib>

namespace tailor::farm {

Ranks::Ranks() {
  throw Error(Code::runtime_missing, "this tailor-farm was built without MPI", "mpirun",
              "`make farm` installs OpenMPI and builds it again; --shard needs none");
}
Post Ranks::post() { return {}; }
void Ranks::leave() {}
void Ranks::abort(int exit_code) { std::exit(exit_code); }

bool is_later_rank() { return false; }

}  // namespace tailor::farm
