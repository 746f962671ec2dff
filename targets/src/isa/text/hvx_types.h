/* The compiler's own headers of HVX. */
#include <stddef.h>
#include <hexagon_types.h>
#include <hexagon_protos.h>
#include <hvx_hexagon_protos.h>
/* At any address: an aligned load would silently round it down. */
MCV_INLINE HVX_Vector hvx_load(const void *p) { return *(const HVX_UVector *)p; }
MCV_INLINE HVX_Vector hvx_zero(void) { return Q6_V_vzero(); }
