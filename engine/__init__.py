"""The engine of Mobiscope: cities, models, runs and what-ifs, without a screen."""

__version__ = "0.1.0"
