import ctypes

kilometres = ctypes.CDLL("/app/distance.so").kilometres
kilometres.argtypes, kilometres.restype = [ctypes.c_double] * 4, ctypes.c_double
print(round(kilometres(40.64, -73.78, 42.36, -71.01)))
