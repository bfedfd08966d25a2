"""The built-in city: a deterministic generator of streets, buildings, places, people, visits and flows whose truth is known."""

from engine.city.synthetic.assembly import NAME, synthesise

__all__ = ["NAME", "synthesise"]
