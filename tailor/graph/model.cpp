#include "tailor/graph/model.h"
