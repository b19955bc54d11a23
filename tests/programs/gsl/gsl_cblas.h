/* GSL's sources name it with a folder that only a built library has. */
#include <gsl_cblas.h>
