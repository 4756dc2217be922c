#include <math.h>

/* Great-circle distance in kilometres between two places in degrees. */
double kilometres(double lat1, double lon1, double lat2, double lon2) {
    const double r = acos(-1) / 180;
    const double x = sin((lat2 - lat1) * r / 2), y = sin((lon2 - lon1) * r / 2);
    return 12742 * asin(sqrt(x * x + cos(lat1 * r) * cos(lat2 * r) * y * y));
}
