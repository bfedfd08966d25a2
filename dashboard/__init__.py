"""The frame of the screen: everything Streamlit that is not a page."""
