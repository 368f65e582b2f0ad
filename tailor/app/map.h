/// \file The two kinds of `map`: units side by side (verb_map.cpp), and units that take turns (verb_map_turns.cpp). Private.
#pragma once

#include "tailor/app/app.h"
#include "tailor/pipeline/map_model.h"

namespace tailor::app {

/// @pre the platform of `options` is measured. Exit status as a verb's.
int map_in_turns(const Global& global, const MapArguments& arguments, pipeline::MapOptions options);

}  // namespace tailor::app
