/* What the loops of GSL's CBLAS want of the library's own header. */
#include <math.h>
#define GSL_MAX(a, b) ((a) > (b) ? (a) : (b))
